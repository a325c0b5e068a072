// Plays a script of any other third party: a cookie and storage on the site's own domain, and a ping home.
(() => {
  const host = new URL((document.currentScript || { src: "https://module.invalid/" }).src).host;
  const key = `party_${host.replace(/\W/g, "_")}`;
  document.cookie = `${key}=1; Path=/; Max-Age=86400; SameSite=Lax`;
  localStorage.setItem(key, "1");
  sessionStorage.setItem(key, "1");
  navigator.sendBeacon(`https://${host}/collect?page=${encodeURIComponent(location.href)}`);
})();
