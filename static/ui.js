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
    if (answer.reload) {
      addEventListener("pagehide", wipe); // what still runs may write once more on its way out
      return location.reload();
    }
    change(answer.allowed);
    say(back.querySelector("[role=status]"));
  }

  function change(purposes) {
    allowed = new Set(purposes);
    dismiss();
    open();
    const detail = { allowed: purposes };
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

  function dismiss() {
    const focused = ask && ask.contains(document.activeElement);
    if (ask) ask.hidden = true;
    back.hidden = false;
    back.querySelector("button").hidden = !allowed.size;
    const held = document.activeElement;
    if (focused || (held && held.hidden)) {
      const target = before && before.isConnected && before !== document.body ? before : back.querySelector("a");
      target.focus({ preventScroll: true });
    }
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
      if (!more.open) return dismiss();
      more.open = false;
      more.firstElementChild.focus();
    });
    more.addEventListener("toggle", () => more.open && byId("cg-pick").scrollIntoView({ block: "nearest" }));
    new ResizeObserver(() => {
      document.documentElement.style.setProperty("--cg-room", `${ask.offsetHeight + 32}px`);
    }).observe(ask);
  }

  /* Opening what was withheld, in document order ------------------------------------------------------------------ */

  const EMBEDS = /^(iframe|object|embed|video|audio)$/;
  const RUNS = /^$|^module$|^(text|application)\/(x-)?(java|ecma)script$/i;
  const PREFIX = "data-cg-";

  function open() {
    const inline = withheld().filter((element) => element.localName === "script" && !element.hasAttribute(PREFIX + "src"));
    // After a page has loaded, document.write() wipes it: such a script needs a page of its own.
    if (inline.some((script) => /\bdocument\s*\.\s*write/.test(script.text))) return location.reload();
    opening = opening.then(openAll);
  }

  const withheld = () => [...document.querySelectorAll("[data-cg]")].filter((element) => allowed.has(element.dataset.cg));

  async function openAll() {
    const deferred = [];
    let running; // the latest script that later ones have to wait for
    for (const element of withheld()) {
      if (element.localName !== "script") {
        await running;
        restore(element);
        continue;
      }
      const script = revive(element);
      const fetched = script.hasAttribute("src");
      const runs = RUNS.test(script.type) && !script.noModule;
      const module = /^module$/i.test(script.type);
      if (runs && !script.hasAttribute("async") && (module || (fetched && script.defer))) {
        deferred.push([element, script]);
      } else if (runs && fetched) {
        if (!script.hasAttribute("async")) running = ended(script);
        element.replaceWith(script);
      } else {
        await running;
        element.replaceWith(script);
      }
    }
    await running;
    deferred.forEach(([element, script]) => element.replaceWith(script));
  }

  /** Settles when the script has run or failed; browsers run such scripts in the order they are put in. */
  function ended(script) {
    script.async = false;
    return new Promise((resolve) => ["load", "error"].forEach((type) => script.addEventListener(type, resolve)));
  }

  /** A script never runs twice, so it is made anew with all its attributes. */
  function revive(element) {
    const script = document.createElement("script");
    for (const attribute of element.attributes) {
      const { name, value } = attribute;
      if (name.startsWith(PREFIX)) script.setAttribute(name.slice(PREFIX.length), value);
      else if (name !== "data-cg" && name !== "type") script.setAttributeNode(attribute.cloneNode());
    }
    script.nonce = element.nonce; // browsers hide it from attributes
    script.text = element.text;
    script.async = script.hasAttribute("async");
    return script;
  }

  function restore(element) {
    const embed = EMBEDS.test(element.localName);
    if (embed) element.removeAttribute("hidden");
    for (const { name, value } of [...element.attributes]) {
      if (!name.startsWith(PREFIX)) continue;
      element.removeAttribute(name);
      const plain = name.slice(PREFIX.length);
      element.setAttributeNS(plain === "xlink:href" ? "http://www.w3.org/1999/xlink" : null, plain, value);
    }
    element.removeAttribute("data-cg");
    const parent = element.parentElement;
    if (/^(source|track)$/.test(element.localName) && parent.load) parent.load();
    const stand = element.previousElementSibling;
    if (!stand || !stand.matches(".cg-embed")) return;
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
    if (removed || (added && restored)) location.reload();
    else if (added) change(now.allowed);
    else if (!now.undecided) dismiss();
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
