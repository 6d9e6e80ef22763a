"use strict";

/* The page that shows a withdrawal once more: it is sent once, and the way back leads to the form. */

(() => {
  const form = document.querySelector("[data-review]");
  const facts = form.dataset;
  let sending = false;

  form.addEventListener("submit", (event) => {
    if (sending) {
      event.preventDefault();
      return;
    }
    if (event.submitter && "change" in event.submitter.dataset) return;
    sending = true;
    form.classList.add("sending");
    const button = form.querySelector("[data-submit]");
    button.setAttribute("aria-disabled", "true");
    form.querySelector("[data-submit-text]").textContent = facts.sending;
    frame.tell("submit", { select_menu: "payout" });
  });

  frame.begin(facts.parents);
  frame.remember(`key.${facts.site}`, facts.key);
  /* This page answers a form: without an address of its own the way back from the next one would send it again. */
  const formPage = new URLSearchParams({ key: facts.key, lang: document.documentElement.lang, deed: "withdraw" });
  window.history.replaceState(null, "", `/open?${formPage}`);
  frame.tell("select_menu", { select_menu: "payout" });
})();
