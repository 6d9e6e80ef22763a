"use strict";

/* The pages that ask for a deposit or a withdrawal: quick amounts and limits of the chosen method, where a withdrawal
   goes, the amount on the button, errors before sending.
   The server checks everything again; without this script the form still works. */

(() => {
  const form = document.querySelector("[data-form]");
  if (!form) return;

  const facts = form.dataset;
  const site = facts.site;
  const exponent = Number(facts.exponent);
  const amount = form.elements.namedItem("amount");
  const radios = [...form.querySelectorAll("input[name=method]")];
  const submitText = form.querySelector("[data-submit-text]");
  const languages = document.querySelector("[data-languages]");
  const details = [...form.querySelectorAll("[data-detail]")];
  const draft = `draft.${facts.form}.${site}`;
  let sending = false;

  const chosen = () => radios.find((radio) => radio.checked);

  /* The same reading as the server's `read_amount`: minor units, or null where two readings are possible. */
  function read(typed) {
    let whole = typed.trim().replace(/[ \u00a0\u2009\u202f]/g, " ");
    let mark = "";
    let fraction = "";
    const at = Math.max(whole.lastIndexOf(","), whole.lastIndexOf("."));
    if (at >= 0) {
      const last = whole[at];
      const repeated = whole.split(last).length > 2;
      const grouped = last === facts.group && /^[0-9]{3}$/.test(whole.slice(at + 1));
      if (!repeated && !grouped) {
        mark = last;
        fraction = whole.slice(at + 1);
        whole = whole.slice(0, at);
      }
    }
    const plain = /^(?:[0-9]+|[0-9]{1,3}(?:([ .,])[0-9]{3}(?:\1[0-9]{3})*))$/.exec(whole);
    if (!plain || (mark && plain[1] === mark) || (mark && !/^[0-9]+$/.test(fraction)) || fraction.length > exponent) return null;
    const minor = Number(whole.replace(/[ .,]/g, "") + fraction.padEnd(exponent, "0"));
    return minor <= 1e15 ? minor : null;
  }

  function write(minor) {
    const digits = String(minor).padStart(exponent + 1, "0");
    const whole = digits.slice(0, digits.length - exponent);
    const fraction = digits.slice(digits.length - exponent);
    const grouped = whole.replace(/\B(?=(?:[0-9]{3})+$)/g, facts.group);
    return /[1-9]/.test(fraction) ? grouped + facts.decimal + fraction : grouped;
  }

  function showError(field, sentence) {
    const place = document.getElementById(`${field}-error`);
    const inputs = field === "method" ? radios : [document.getElementById(field)];
    place.hidden = !sentence;
    place.querySelector("[data-error-text]").textContent = sentence;
    for (const input of inputs) {
      if (sentence) input.setAttribute("aria-invalid", "true");
      else input.removeAttribute("aria-invalid");
    }
  }

  function wrongAmount() {
    const minor = read(amount.value);
    const method = chosen();
    if (minor === null) return facts.malformed;
    if (method && minor < Number(method.dataset.minimum)) return method.dataset.tooLow;
    if (method && minor > Number(method.dataset.maximum)) return method.dataset.tooHigh;
    if (facts.available && minor > Number(facts.available)) return facts.tooMuch;
    return "";
  }

  /* Only the fields of the chosen method, and none where something known is chosen: what is hidden is not sent. */
  function showDestination(method) {
    for (const part of form.querySelectorAll("[data-destination-of]")) {
      part.hidden = part.disabled = part.dataset.destinationOf !== (method && method.value);
      const anew = part.querySelector("[data-anew]");
      const fields = part.querySelector("[data-anew-fields]");
      fields.hidden = fields.disabled = Boolean(anew) && !anew.checked;
    }
  }

  function refresh() {
    const minor = read(amount.value);
    const method = chosen();
    const quick = method && form.querySelector(`[data-quick-of="${CSS.escape(method.value)}"]`);
    for (const part of form.querySelectorAll("[data-quick-of]")) part.hidden = part !== quick;
    for (const part of form.querySelectorAll("[data-limits-of]")) part.hidden = part.dataset.limitsOf !== (method && method.value);
    showDestination(method);
    for (const chip of form.querySelectorAll("[data-minor]")) {
      chip.setAttribute("aria-pressed", String(minor !== null && Number(chip.dataset.minor) === minor));
    }
    if (sending) submitText.textContent = facts.sending;
    else if (minor && facts.pay) submitText.textContent = facts.pay.replace("{}", facts.pattern.replace("{}", write(minor)));
    else submitText.textContent = facts.payPlain;
  }

  /* Nothing secret here: no key, no token. */
  function tell(action) {
    const method = chosen();
    const minor = read(amount.value);
    const buttons = method ? [...form.querySelectorAll(`[data-quick-of="${CSS.escape(method.value)}"] [data-minor]`)] : [];
    const index = buttons.findIndex((button) => Number(button.dataset.minor) === minor);
    const major = minor === null ? null : minor / 10 ** exponent;
    frame.tell(action, {
      select_menu: facts.form,
      payment_system: method ? method.dataset.group : "undefined",
      amount: index >= 0 ? String(major) : "custom",
      custom_amount: index >= 0 ? null : major,
      amount_button_index: index >= 0 ? index : null,
      currency: facts.currency,
    });
  }

  function keepDraft() {
    const method = chosen();
    frame.remember(draft, JSON.stringify({ method: method ? method.value : "", minor: read(amount.value) }));
  }

  /* What was entered survives the way back from a payment, and a change of language: so the amount is kept in minor
     units, for each language writes it its own way. */
  function restoreDraft() {
    const kept = JSON.parse(frame.recall(draft) || "null");
    frame.forget(draft);
    if (!kept) return;
    const method = radios.find((radio) => radio.value === kept.method);
    if (method) method.checked = true;
    if (kept.minor !== null) amount.value = write(kept.minor);
  }

  for (const radio of radios) {
    radio.addEventListener("change", () => {
      showError("method", "");
      if (amount.value) showError("amount", wrongAmount());
      refresh();
      tell("select_payment_system");
    });
    /* By finger or mouse (not by arrow keys, which also click) go on to the amount where it is out of sight. */
    radio.addEventListener("pointerup", () => {
      const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
      form.querySelector("[data-amount-section]").scrollIntoView({ behavior: calm ? "auto" : "smooth", block: "nearest" });
    });
  }

  for (const known of form.querySelectorAll(".known input")) known.addEventListener("change", refresh);

  for (const detail of details) detail.addEventListener("input", () => showError(detail.id, ""));

  for (const chip of form.querySelectorAll("[data-minor]")) {
    chip.addEventListener("click", () => {
      amount.value = chip.dataset.text;
      showError("amount", wrongAmount());
      refresh();
      tell("amount_change");
    });
  }

  amount.addEventListener("input", () => {
    if (amount.hasAttribute("aria-invalid") && !wrongAmount()) showError("amount", "");
    refresh();
  });

  amount.addEventListener("change", () => {
    const minor = read(amount.value);
    if (minor !== null) amount.value = write(minor);
    showError("amount", amount.value ? wrongAmount() : "");
    refresh();
    tell("amount_change");
  });

  /* The button does not take the focus from a field: a sentence that appears when a field is left would move the button
     away from under the finger, and the press would be lost. */
  form.querySelector("[data-submit]").addEventListener("mousedown", (event) => event.preventDefault());

  form.addEventListener("submit", (event) => {
    if (sending) {
      event.preventDefault();
      return;
    }
    showError("method", chosen() ? "" : facts.missing);
    showError("amount", wrongAmount());
    for (const detail of details) {
      const asked = !detail.matches(":disabled");
      if (!asked || !detail.value.trim()) showError(detail.id, asked ? facts.empty : "");
    }
    const wrong = form.querySelector("input[aria-invalid]");
    if (wrong) {
      event.preventDefault();
      wrong.focus();
      return;
    }
    sending = true;
    keepDraft();
    frame.remember("sent", form.elements.namedItem("form_token").value);
    form.classList.add("sending");
    form.querySelector("[data-submit]").setAttribute("aria-disabled", "true");
    refresh();
    tell("submit");
  });

  if (languages) languages.addEventListener("submit", keepDraft);

  /* Back from a payment: the form that made it would only show it again, so take a fresh one. */
  window.addEventListener("pageshow", (event) => {
    const [entry] = performance.getEntriesByType("navigation");
    const back = event.persisted || (entry && entry.type === "back_forward");
    if (!back || frame.recall("sent") !== form.elements.namedItem("form_token").value) return;
    frame.forget("sent");
    window.location.replace(`/open?${new URLSearchParams({
      key: facts.key,
      lang: document.documentElement.lang,
      deed: facts.form === "payout" ? "withdraw" : "deposit",
    })}`);
  });

  form.noValidate = true;
  frame.begin(facts.parents);
  frame.remember(`key.${site}`, facts.key);
  restoreDraft();
  refresh();
  tell("select_menu");
})();
