// Keeps the balance, the deposits and the withdrawals fresh.

const player = document.body.dataset.player;
const balance = document.getElementById("balance");
const gain = document.getElementById("gain");
const orders = document.getElementById("orders");
const noOrders = document.getElementById("no-orders");
const template = document.getElementById("order-row");

const REFRESH_MS = 1000;

let shownOrders = null;

function rowOf(order) {
  const row = template.content.firstElementChild.cloneNode(true);
  row.dataset.status = order.status;
  row.dataset.order = row.title = order.external_id;
  for (const part of row.querySelectorAll("[data-is]")) {
    part.textContent = order[part.dataset.is];
  }
  row.querySelector("time").dateTime = order.created_at;
  return row;
}

function showBalance(text) {
  if (balance.textContent === text) return;
  const number = (written) => Number(written.replaceAll(",", ""));
  // Only to say "more" or "less": the sums themselves come written from the server.
  const isMore = number(text) > number(balance.textContent);
  balance.textContent = text;
  balance.classList.remove("changed");
  void balance.offsetWidth; // restarts the animation
  balance.classList.add("changed");
  if (gain) gain.textContent = (isMore ? gain.dataset.more : gain.dataset.less) ?? "";
}

function showOrders(list) {
  const written = JSON.stringify(list);
  if (written === shownOrders) return;
  shownOrders = written;
  noOrders.hidden = list.length > 0;
  orders.replaceChildren(...list.map(rowOf));
}

async function refresh() {
  try {
    const answer = await fetch(`/players/${encodeURIComponent(player)}`, { cache: "no-store" });
    if (answer.ok) {
      const view = await answer.json();
      showBalance(view.balance.text);
      showOrders(view.orders);
    }
  } catch {
    // The shop is away for a moment: the next round asks again.
  }
  setTimeout(refresh, document.hidden ? 5 * REFRESH_MS : REFRESH_MS);
}

if (player && balance && orders) refresh();
