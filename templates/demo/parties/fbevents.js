// Plays a social pixel: a cookie on the site's own domain, entries in its storage, and an image per event.
(() => {
  const now = Date.now();
  document.cookie = `_fbp=fb.1.${now}.${Math.floor(Math.random() * 1e10)}; Path=/; Max-Age=7776000; SameSite=Lax`;
  localStorage.setItem("lastExternalReferrer", "empty");
  localStorage.setItem("lastExternalReferrerTime", String(now));
  let pixel = "";
  const handle = (verb, what) => {
    if (verb === "init") pixel = what;
    if (verb === "track") new Image().src = `https://www.facebook.com/tr/?id=${pixel}&ev=${what}&dl=${encodeURIComponent(location.href)}`;
  };
  const queued = window.fbq ? window.fbq.queue : [];
  if (window.fbq) window.fbq.callMethod = handle;
  for (const call of queued) handle(...call);
})();
