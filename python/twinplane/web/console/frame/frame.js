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

const PAUSES = { first: 2000, longest: 60000 };
const PATIENCE = 5000;
const ANSWER_WITHIN = 30000;

// Waits that double while something keeps failing.
class Pause {
  reset() { this.next = PAUSES.first; clearTimeout(this.timer); }
  run(work) {
    clearTimeout(this.timer);
    this.timer = setTimeout(work, this.next ?? PAUSES.first);
    this.next = Math.min((this.next ?? PAUSES.first) * 2, PAUSES.longest);
  }
}

// Asks for itself again when its stream says so: once at a time, so that no older answer comes last, and at most once
// every `data-every` seconds. While the stream or the answers fail it says that it is not current, and tries again.
class LivePart extends HTMLElement {
  reopening = new Pause();
  asking = new Pause();

  connectedCallback() {
    this.onfocusout = () => { if (this.isWanted) this.ask(); };
    this.openStream();
  }

  disconnectedCallback() {
    this.source?.close();
    this.reopening.reset();
    this.asking.reset();
    clearTimeout(this.patience);
    clearTimeout(this.turn);
    this.turn = undefined;
  }

  openStream() {
    const source = this.source = new EventSource(this.getAttribute("events"));
    // A stream says "changed" at its start too, for what was missed while there was none.
    source.addEventListener("changed", () => this.ask());
    source.addEventListener("open", () => { clearTimeout(this.patience); this.reopening.reset(); });
    source.addEventListener("error", () => {
      clearTimeout(this.patience);
      // The browser opens a stream that ended again by itself, but never one that was answered by something else.
      if (source.readyState !== EventSource.CLOSED) {
        const since = Date.now();
        this.patience = setTimeout(() => this.sayBroken(since), PATIENCE);
      } else {
        this.sayBroken(Date.now());
        this.reopening.run(() => this.openStream());
      }
    });
  }

  ask() {
    this.isWanted = true;
    if (this.isAsking || this.turn !== undefined) return;
    const every = Number(this.dataset.every ?? 2) * 1000;
    const wait = Math.max(0, (this.askedAt ?? -every) + every - performance.now());
    this.turn = setTimeout(() => { this.turn = undefined; this.fetchAgain(); }, wait);
  }

  async fetchAgain() {
    // Nothing is taken from under somebody who types; leaving the field asks again.
    if (this.contains(document.activeElement) && document.activeElement.matches("input, textarea, select")) return;
    const since = Date.now();
    this.isWanted = false;
    this.isAsking = true;
    this.askedAt = performance.now();
    const part = await this.fetchPart();
    this.isAsking = false;
    if (!this.isConnected) return;
    if (!part) {
      this.sayBroken(since);
      this.asking.run(() => this.ask());
      return;
    }
    this.asking.reset();
    this.replaceKept(part);
    sayTimes(this);
    if (this.source.readyState === EventSource.OPEN) this.sayCurrent();
    this.dispatchEvent(new CustomEvent("part-changed", { bubbles: true }));
    if (this.isWanted) this.ask();
  }

  // The part as the server has it now, or null where it does not say.
  async fetchPart() {
    const asked = { headers: { Accept: "text/html" }, redirect: "error", signal: AbortSignal.timeout(ANSWER_WITHIN) };
    try {
      const answer = await fetch(this.getAttribute("src"), asked);
      if (!answer.ok) return null;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      return page.querySelector(`live-part[src="${CSS.escape(this.getAttribute("src"))}"]`);
    } catch {
      return null;
    }
  }

  sayBroken(since) {
    if (this.notice) return;
    this.setAttribute("not-current", "");
    this.notice = document.createElement("p");
    this.notice.className = "not-current";
    this.notice.setAttribute("role", "status");
    this.prepend(this.notice);
    this.notice.textContent = `Not current since ${clock.format(since)}`;
  }

  sayCurrent() {
    this.removeAttribute("not-current");
    this.notice?.remove();
    this.notice = undefined;
  }

  // What was opened stays open, and the keyboard stays where it was.
  replaceKept(part) {
    const wasOpen = [...this.querySelectorAll("details")].map((one) => one.open);
    const reachable = () => [...this.querySelectorAll("a[href], button, summary, [tabindex]")];
    const place = reachable().indexOf(document.activeElement);
    const path = document.activeElement?.getAttribute("href");
    this.replaceChildren(...document.importNode(part, true).childNodes);
    if (this.notice) this.prepend(this.notice);
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
