// Plays an analytics tag: cookies on the site's own domain, and one hit.
(() => {
  const id = new URL(document.currentScript.src).searchParams.get("id") || "G-DEMO000000";
  const now = Math.floor(Date.now() / 1000);
  const client = `${Math.floor(Math.random() * 2 ** 31)}.${now}`;
  const keep = (name, value, seconds) => {
    document.cookie = `${name}=${value}; Path=/; Max-Age=${seconds}; SameSite=Lax`;
  };
  keep("_ga", `GA1.1.${client}`, 34560000);
  keep("_gid", `GA1.1.${client}`, 86400);
  keep(`_ga_${id.replace("G-", "")}`, `GS2.1.s${now}$o1$g0$t${now}$j60$l0$h0`, 34560000);
  const hit = new URLSearchParams({ v: "2", tid: id, cid: client, en: "page_view", dl: location.href });
  navigator.sendBeacon(`https://www.google-analytics.com/g/collect?${hit}`);
})();
