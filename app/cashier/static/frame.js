"use strict";

/* What both pages share: talking to the site's window (protocol: action, action_info), and memory of this tab.
   A classic script: `frame` is seen by the scripts after it and by nobody outside the page. */

const frame = (() => {
  const framed = window.parent !== window;

  /* Memory may be denied inside a foreign frame; then we simply remember nothing. */
  function remember(name, value) {
    try {
      sessionStorage.setItem(`cashier.${name}`, value);
    } catch {
      return false;
    }
    return true;
  }

  function recall(name) {
    try {
      return sessionStorage.getItem(`cashier.${name}`);
    } catch {
      return null;
    }
  }

  function forget(name) {
    try {
      sessionStorage.removeItem(`cashier.${name}`);
    } catch {
      /* nothing was remembered */
    }
  }

  function originOf(address) {
    try {
      return new URL(address).origin;
    } catch {
      return "";
    }
  }

  /* The parent's origin, if it is one of the site's. Our second page is entered from our first, so where the browser
     has no ancestorOrigins, the first page's finding is kept for it. */
  function parentOrigin(allowed) {
    if (!framed) return "";
    const ancestors = window.location.ancestorOrigins;
    if (ancestors) return allowed.includes(ancestors[0]) ? ancestors[0] : "";
    const referrer = originOf(document.referrer);
    if (allowed.includes(referrer)) {
      remember("parent", referrer);
      return referrer;
    }
    const kept = recall("parent") || "";
    return allowed.includes(kept) ? kept : "";
  }

  let target = "";
  let shown = "";

  function size() {
    const box = document.querySelector("[data-page]").getBoundingClientRect();
    return { width: Math.ceil(box.width), height: Math.ceil(box.height) };
  }

  function tell(action, info) {
    if (target) window.parent.postMessage({ action, action_info: { ...size(), ...info } }, target);
  }

  /* "resize" is ours: the public protocol reads width and height of any message, whatever its action. */
  function tellSize() {
    const now = JSON.stringify(size());
    if (now === shown) return;
    shown = now;
    tell("resize", {});
  }

  function begin(parents) {
    document.documentElement.classList.add("scripted");
    if (framed) document.body.classList.add("framed");
    target = parentOrigin(JSON.parse(parents));
    if (target) new ResizeObserver(tellSize).observe(document.querySelector("[data-page]"));
  }

  return { begin, tell, remember, recall, forget };
})();
