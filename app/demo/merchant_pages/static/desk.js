// Keeps the owner's lists fresh, and the keyboard where it was.

const lists = document.getElementById("lists");

const REFRESH_MS = 1000;

let shown = null;

async function refresh() {
  try {
    const answer = await fetch("/owner/withdrawals", { cache: "no-store" });
    const written = answer.ok ? await answer.text() : null;
    // The first time too: between the page and this question something may have happened.
    if (written !== null && written !== shown) {
      const focused = document.activeElement?.id;
      lists.innerHTML = written; // our own server's template, escaped there
      if (focused) document.getElementById(focused)?.focus();
      shown = written;
    }
  } catch {
    // The shop is away for a moment: the next round asks again.
  }
  setTimeout(refresh, document.hidden ? 5 * REFRESH_MS : REFRESH_MS);
}

refresh();
