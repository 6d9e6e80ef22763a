// Lets the cashier's frame grow to the height it asks for. Loaded before the frame exists, so that no message is missed.

const HEIGHT_LIMITS = [360, 1600];

addEventListener("message", (event) => {
  const frame = document.getElementById("cashier");
  if (!frame || event.origin !== frame.dataset.origin || event.source !== frame.contentWindow) return;
  const height = event.data?.action_info?.height;
  if (typeof event.data?.action !== "string" || !Number.isFinite(height)) return;
  const [least, most] = HEIGHT_LIMITS;
  frame.style.height = `${Math.min(Math.max(Math.ceil(height), least), most)}px`;
});
