/* The visitor's side of the gate. Every form works without this file; with it, a choice needs no new page where none
   is needed: withheld elements are opened in place, several tabs agree, and the page can ask what is allowed. */
(() => {
  "use strict";

  const me = document.currentScript;
  const endpoint = new URL("../choices", me.src).href;
  const json = { Accept: "application/json" };
  const byId = (id) => document.getElementById(id);
  const ask = byId("cg-ask");
  const back = byId("cg-back");
  const more = ask && ask.querySelector("details");
  const listeners = new Set();
  let allowed = new Set((me.dataset.allowed || "").split(" ").filter(Boolean));
  let sending = false;
  let outdated = false; // more is allowed now than when this page was sent, and its policy header keeps it out
  let before = null; // what had the focus before the first layer got it
  let channel;
  let opening = Promise.resolve();

  /* Choosing ----------------------------------------------------------------------------------------------------- */

  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!/^cg-(all|pick|back|load)$/.test(form.id)) return;
    event.preventDefault();
    if (!sending) send(form, event.submitter);
  }, true);

  async function send(form, button) {
    const body = new URLSearchParams(new FormData(form));
    if (button && button.name) body.append(button.name, button.value);
    let answer;
    sending = true;
    try {
      const response = await fetch(form.action, { method: "POST", headers: json, body, keepalive: true });
      if (!response.ok) throw response;
      answer = await response.json();
    } catch {
      return sendNatively(form, button);
    } finally {
      sending = false;
    }
    settle(answer);
  }

  function sendNatively(form, button) {
    if (button && button.name) {
      const field = document.createElement("input");
      field.type = "hidden";
      field.name = button.name;
      field.value = button.value;
      form.append(field);
    }
    form.submit();
  }

  function settle(answer) {
    const wipe = () => (answer.clear || []).forEach(clear);
    wipe();
    if (channel) channel.postMessage(0);
    if (answer.reload || outdated) {
      addEventListener("pagehide", wipe); // what still runs may write once more on its way out
      return location.reload();
    }
    allowed = new Set(answer.allowed);
    dismiss(allowed.size);
    say(back.querySelector("[role=status]"));
    open();
    const detail = { allowed: answer.allowed };
    document.dispatchEvent(new CustomEvent("cookiegate:change", { detail }));
    listeners.forEach((listener) => listener(detail));
  }

  /** Remove the entries of one storage area whose key matches a pattern with `*`. */
  function clear([area, pattern]) {
    const literal = pattern.split("*").map((part) => part.replace(/[\\^$.+?()[\]{}|]/g, "\\$&"));
    const matches = new RegExp(`^${literal.join(".*")}$`, "s");
    try {
      const storage = window[`${area}Storage`];
      Object.keys(storage).filter((key) => matches.test(key)).forEach((key) => storage.removeItem(key));
    } catch {} // storage is switched off in this browser, so nothing is stored in it
  }

  /* The first layer and the way back ----------------------------------------------------------------------------- */

  function dismiss(granted) {
    const withdraw = back.querySelector("button");
    const held = document.activeElement;
    const losing = (ask && ask.contains(held)) || (held === withdraw && !granted);
    if (ask) ask.hidden = true;
    back.hidden = false;
    withdraw.hidden = !granted;
    if (!losing) return;
    const target = before && before.isConnected ? before : back.querySelector("a");
    target.focus({ preventScroll: true });
  }

  function say(status) {
    status.textContent = "";
    setTimeout(() => { status.textContent = status.dataset.text; }, 100);
  }

  if (ask) {
    ask.addEventListener("focusin", (event) => {
      if (event.relatedTarget && !ask.contains(event.relatedTarget)) before = event.relatedTarget;
    });
    ask.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      if (!more.open) return dismiss(allowed.size);
      more.open = false;
      more.firstElementChild.focus();
    });
    more.addEventListener("toggle", () => more.open && byId("cg-pick").scrollIntoView({ block: "nearest" }));
    new ResizeObserver(() => {
      document.documentElement.style.setProperty("--cg-room", `${ask.offsetHeight + 32}px`);
    }).observe(ask);
  }

  /* Opening what was withheld, in document order ------------------------------------------------------------------ */

  const RUNS = /^$|^module$|^(text|application)\/(x-)?(java|ecma)script$/i;
  const PREFIX = "data-cg-";
  const waiting = (mark) => [...document.querySelectorAll(`[${mark}]`)].filter((it) => allowed.has(it.getAttribute(mark)));

  function open() {
    // A style sheet was cut where it is written, and document.write() wipes a page that has loaded: both need a new one.
    const lost = waiting("data-cg-css").some((it) => it.localName === "style");
    const writes = waiting("data-cg").some((it) => it.localName === "script" && /\bdocument\s*\.\s*write/.test(it.textContent));
    if (lost || writes) return location.reload();
    opening = opening.then(openAll, openAll);
  }

  async function openAll() {
    const deferred = [];
    let running; // settles when the latest script that others must wait for has run
    for (const element of waiting("data-cg")) {
      if (!element.isConnected) continue; // taken away by a script that ran meanwhile
      if (element.localName !== "script") {
        await running;
        restore(element);
        continue;
      }
      const script = revive(element);
      const source = ["src", "href", "xlink:href"].some((name) => script.hasAttribute(name));
      const runs = RUNS.test(script.type.trim()) && !script.noModule;
      const independent = script.hasAttribute("async");
      if (runs && !independent && (/module/i.test(script.type) || (source && script.defer))) {
        deferred.push([element, script]);
        continue;
      }
      if (runs && source && !independent) running = ended(script);
      else if (!independent) await running;
      element.replaceWith(script);
    }
    await running;
    for (const [element, script] of deferred) element.replaceWith(script);
    for (const element of waiting("data-cg-css")) {
      element.setAttribute("style", element.getAttribute("data-cg-style"));
      element.removeAttribute("data-cg-style");
      element.removeAttribute("data-cg-css");
    }
  }

  /** Settles when the script has run or failed. Browsers run such scripts in the order they are put in. */
  function ended(script) {
    return new Promise((resolve) => ["load", "error"].forEach((type) => script.addEventListener(type, resolve)));
  }

  /** What the gate renamed, under its own name again. */
  function* renamed(element) {
    const styled = element.hasAttribute("data-cg-css");
    for (const { name, value } of [...element.attributes]) {
      if (!name.startsWith(PREFIX) || (styled && /-(css|style)$/.test(name))) continue;
      yield [name, name.slice(PREFIX.length).replace("xlink-", "xlink:"), value];
    }
  }

  /** A script element never runs twice, so it is made anew with all its attributes. */
  function revive(element) {
    const script = document.createElementNS(element.namespaceURI, "script");
    for (const attribute of element.attributes) {
      if (!/^(type|data-cg(-.*)?)$/.test(attribute.name)) script.setAttributeNode(attribute.cloneNode());
    }
    for (const [, name, value] of renamed(element)) script.setAttribute(name, value);
    script.nonce = element.nonce; // browsers hide it from attributes
    script.textContent = element.textContent;
    script.async = script.hasAttribute("async");
    return script;
  }

  function restore(element) {
    const stand = element.previousElementSibling;
    const replaced = stand && stand.matches(".cg-embed");
    if (replaced) element.hidden = false;
    for (const [name, plain, value] of renamed(element)) {
      element.removeAttribute(name);
      element.setAttributeNS(/^xlink/.test(plain) ? "http://www.w3.org/1999/xlink" : null, plain, value);
    }
    element.removeAttribute("data-cg");
    const parent = element.parentElement;
    if (/^(source|track)$/.test(element.localName) && parent.load) parent.load();
    if (!replaced) return;
    const focused = stand.contains(document.activeElement);
    stand.remove();
    if (focused) element.focus({ preventScroll: true });
  }

  /* Staying in step with other tabs and with pages that come back from the cache ---------------------------------- */

  addEventListener("pageshow", (event) => {
    if (window.BroadcastChannel) {
      channel = new BroadcastChannel("cg");
      channel.onmessage = () => check();
      if ("changed" in me.dataset) channel.postMessage(0);
    }
    if (event.persisted) check(true);
  });
  addEventListener("pagehide", () => channel && channel.close());

  /** Ask what holds now. The message itself says nothing, so that an old page can spread nothing wrong. */
  async function check(restored) {
    if (!back) return;
    let now;
    try {
      now = await (await fetch(endpoint, { headers: json, cache: "no-store" })).json();
    } catch {
      return; // nothing is known, so nothing changes
    }
    const added = now.allowed.some((purpose) => !allowed.has(purpose));
    const removed = [...allowed].some((purpose) => !now.allowed.includes(purpose));
    if (removed || (added && restored)) return location.reload();
    outdated = added;
    if (!now.undecided) dismiss(now.allowed.length);
  }

  window.cookiegate = {
    /** Whether a purpose is allowed now. */
    allows: (purpose) => allowed.has(purpose),
    /** Call back after each change; returns a function that ends it. */
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    /** Show the choices again. */
    open() {
      if (!ask) return back && location.assign(back.querySelector("a").href);
      ask.querySelectorAll("input[type=checkbox]").forEach((box) => { box.checked = allowed.has(box.value); });
      ask.hidden = false;
      more.open = true;
      more.firstElementChild.focus();
    },
  };
})();
