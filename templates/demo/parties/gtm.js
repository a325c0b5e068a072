// Plays a tag manager whose container fires an advertising tag: a cookie on the site's own domain, and a ping each.
(() => {
  const id = new URL(document.currentScript.src).searchParams.get("id") || "GTM-DEMO000";
  const now = Math.floor(Date.now() / 1000);
  document.cookie = `_gcl_au=1.1.${Math.floor(Math.random() * 2 ** 31)}.${now}; Path=/; Max-Age=7776000; SameSite=Lax`;
  new Image().src = `https://www.googletagmanager.com/a?id=${id}&v=3&t=t`;
  new Image().src = `https://www.googleadservices.com/pagead/conversion/000000000/?label=demo`;
})();
