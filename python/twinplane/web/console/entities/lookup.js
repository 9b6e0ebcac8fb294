// An input that names another entity: what is typed is looked for, and what was found can be chosen.

class LookUp extends HTMLElement {
  connectedCallback() {
    const input = this.querySelector("input");
    const list = this.querySelector("datalist");
    let waiting, asked = "";
    input.addEventListener("input", () => {
      clearTimeout(waiting);
      waiting = setTimeout(async () => {
        const text = input.value.trim();
        if (text === asked) return;
        asked = text;
        try {
          const answer = await fetch(`${this.getAttribute("src")}?${new URLSearchParams({ q: text })}`, { redirect: "error" });
          if (!answer.ok || text !== asked) return;
          const options = (await answer.json()).map(([value, label]) => {
            const option = document.createElement("option");
            option.value = value;
            option.label = label;
            return option;
          });
          list.replaceChildren(...options);
        } catch { /* Names and ids can be typed all the same. */ }
      }, 150);
    });
  }
}

customElements.define("look-up", LookUp);
