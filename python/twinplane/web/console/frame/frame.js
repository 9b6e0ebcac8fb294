// What every page may use: times in words, text to copy, parts that keep themselves current, forms sent once.
// Pages work without any of it.

const UNITS = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
const HOURS = { hour: "2-digit", minute: "2-digit", second: "2-digit" };
const clock = new Intl.DateTimeFormat("en-GB", HOURS);
const calendar = new Intl.DateTimeFormat("en-GB", { day: "2-digit", month: "short", ...HOURS });
const words = new Intl.RelativeTimeFormat("en", { numeric: "auto" });

function sayTimes(root) {
  for (const element of root.querySelectorAll("time.clock")) {
    const at = Date.parse(element.dateTime);
    element.textContent = (Math.abs(at - Date.now()) > 20 * 3600e3 ? calendar : clock).format(at);
  }
  for (const element of root.querySelectorAll("time[datetime]:not(.clock)")) {
    const seconds = (Date.parse(element.dateTime) - Date.now()) / 1000;
    const [unit, length] = UNITS.find(([, length]) => Math.abs(seconds) >= length) ?? UNITS[3];
    element.textContent = words.format(Math.round(seconds / length), unit);
  }
}

class CopyText extends HTMLElement {
  connectedCallback() {
    const button = this.querySelector("button");
    if (!button || !navigator.clipboard) return;
    const label = button.textContent;
    button.hidden = false;
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(this.querySelector("pre").textContent);
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(this.querySelector("pre"));
        button.textContent = "Selected";
      }
      setTimeout(() => { button.textContent = label; }, 1500);
    });
  }
}

class LivePart extends HTMLElement {
  connectedCallback() {
    this.setAttribute("aria-live", "polite");
    this.source = new EventSource(this.getAttribute("events"));
    this.source.addEventListener("changed", () => this.fetchAgain());
    // A stream that was broken may have missed something.
    this.source.addEventListener("open", () => { if (this.wasBroken) this.fetchAgain(); this.wasBroken = false; });
    this.source.addEventListener("error", () => { this.wasBroken = true; });
  }

  disconnectedCallback() { this.source?.close(); }

  async fetchAgain() {
    if (this.contains(document.activeElement) && document.activeElement.matches("input, textarea, select")) return;
    try {
      const answer = await fetch(this.getAttribute("src"), { headers: { Accept: "text/html" }, redirect: "error" });
      if (!answer.ok) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const part = page.querySelector(`live-part[src="${CSS.escape(this.getAttribute("src"))}"]`) ?? page.body;
      this.replaceKept(part);
      sayTimes(this);
      this.dispatchEvent(new CustomEvent("part-changed", { bubbles: true }));
    } catch { /* The server is away: the stream comes back by itself, and asks again. */ }
  }

  // What was opened stays open, and the keyboard stays where it was.
  replaceKept(part) {
    const wasOpen = [...this.querySelectorAll("details")].map((one) => one.open);
    const reachable = () => [...this.querySelectorAll("a[href], button, summary, [tabindex]")];
    const place = reachable().indexOf(document.activeElement);
    const path = document.activeElement?.getAttribute("href");
    this.replaceChildren(...document.importNode(part, true).childNodes);
    this.querySelectorAll("details").forEach((one, at) => { one.open = wasOpen[at] ?? one.open; });
    if (place < 0) return;
    const now = reachable();
    (now.find((one) => path && one.getAttribute("href") === path) ?? now[Math.min(place, now.length - 1)])?.focus({ preventScroll: true });
  }
}

customElements.define("copy-text", CopyText);
customElements.define("live-part", LivePart);

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post") return;
  if (form.dataset.isSent) { event.preventDefault(); return; }
  form.dataset.isSent = "yes";
  addEventListener("pageshow", () => { delete form.dataset.isSent; }, { once: true });
});

sayTimes(document);
setInterval(() => sayTimes(document), 30000);
