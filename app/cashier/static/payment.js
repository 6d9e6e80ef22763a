"use strict";

/* The page of one payment: ask how it stands, show the change, go on to the provider when it is the player's turn. */

(() => {
  const FIRST_MS = 1000;
  const SLOWEST_MS = 10_000; // ten minutes of waiting are then about sixty questions
  const SLOWER = 1.25;
  const PATIENCE_MS = 8000; // a question without an answer is given up, and asked again

  let wait = FIRST_MS;
  let timer = 0;
  let busy = false;

  const part = (name) => document.querySelector(`[data-${name}]`);
  const facts = () => part("payment").dataset;

  /* Once per payment: a player who comes back from the provider is not thrown out again. */
  function goOn() {
    const { continue: address, returned, reference } = facts();
    if (!address || returned || !/^https?:\/\//i.test(address) || frame.recall("gone") === reference) return;
    frame.remember("gone", reference);
    frame.tell("open_iframe", { select_menu: "deposit" });
    window.location.replace(address);
  }

  function offerAnother() {
    const form = part("again");
    const key = frame.recall(`key.${facts().site}`);
    if (!form || !key) return;
    const field = form.elements.namedItem("key");
    field.value = key;
    field.disabled = false;
    form.hidden = false;
  }

  /* The server draws every stage; we put its new <main> in the place of the old one. */
  async function redraw() {
    const answer = await fetch(window.location.href, { signal: AbortSignal.timeout(PATIENCE_MS) });
    const next = new DOMParser().parseFromString(await answer.text(), "text/html");
    const drawn = next.querySelector("[data-payment]");
    if (!answer.ok || !drawn) {
      window.location.reload();
      return;
    }
    document.title = next.title;
    const told = part("told");
    const said = drawn.querySelector("[data-told]");
    told.replaceChildren(...said.childNodes); // this live region stays, so that the change is read out
    said.replaceWith(told);
    part("payment").replaceWith(drawn);
    settle();
  }

  async function ask() {
    const answer = await fetch(facts().status, {
      headers: { Accept: "application/json" },
      cache: "no-store",
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    if (answer.status === 404 || answer.status === 410) {
      window.location.reload();
      return false;
    }
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const status = await answer.json();
    const said = part("headline").textContent !== status.headline || part("sentence").textContent !== status.sentence;
    if (status.final || status.stage !== facts().stage || said) {
      wait = FIRST_MS;
      await redraw();
    }
    return !status.final;
  }

  async function poll() {
    if (busy) return;
    busy = true;
    window.clearTimeout(timer);
    let again = true;
    try {
      again = await ask();
      part("lost").hidden = true;
    } catch {
      part("lost").hidden = false;
    }
    busy = false;
    if (!again) return;
    timer = window.setTimeout(poll, wait);
    wait = Math.min(wait * SLOWER, SLOWEST_MS);
  }

  /* After each drawing. */
  function settle() {
    if (facts().stage === "success") frame.forget(`draft.${facts().kind}.${facts().site}`);
    offerAnother();
    goOn();
  }

  function ended() {
    return ["success", "failure"].includes(facts().stage);
  }

  /* Back in the page after the bank's app: ask at once. */
  document.addEventListener("visibilitychange", () => {
    if (document.hidden || ended()) return;
    wait = FIRST_MS;
    poll();
  });

  frame.begin(facts().parents);
  settle();
  if (!ended()) timer = window.setTimeout(poll, FIRST_MS);
})();
