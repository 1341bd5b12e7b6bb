// What a page cannot do without a script: show requests as they happen, say at once that one waits for
// a person, and notice the next step of a login without loading again for nothing. Text only: nothing
// becomes markup but what a page of our own brings.
"use strict";

(() => {
  const login = document.querySelector("[data-revision]");
  if (login) watchLogin(login.dataset.revision);
  const live = document.getElementById("live");
  const badge = document.getElementById("waiting-count");
  if (!login && badge) {
    // One stream for the whole page: a browser has few connections for one address.
    const events = new EventSource(live ? "/events" : "/events?only=asks");
    watchAsks(events, badge);
    if (live) watchRequests(live, events);
  }

  /** Looks for another revision of the login, and loads the page again when there is one. */
  function watchLogin(revision) {
    const look = async () => {
      try {
        const answer = await fetch(location.pathname);
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        const now = page.querySelector("[data-revision]");
        if (!now || now.dataset.revision !== revision) return location.reload();
      } catch {
        // The daemon is away; it may come back.
      }
      setTimeout(look, 1500);
    };
    setTimeout(look, 1500);
  }

  /** Keeps the number of waiting requests up to date, in the navigation and the title, and the list. */
  function watchAsks(events, badge) {
    const cards = document.getElementById("cards");
    const title = document.title.replace(/^\(\d+\) /, "");
    const show = (count) => {
      badge.hidden = count === 0;
      badge.children[1].textContent = count;
      document.title = count ? `(${count}) ${title}` : title;
    };
    let opened = false;
    events.addEventListener("asks", (event) => {
      show(Number(event.data));
      if (cards) load();
    });
    events.addEventListener("open", () => {
      // What came and went while there was no stream.
      if (cards && opened) load();
      opened = true;
    });

    let loading = false;
    let again = false;
    /** Brings the list up to date. What stays is not touched: somebody may be typing there. */
    async function load() {
      if (loading) {
        again = true;
        return;
      }
      loading = true;
      try {
        const answer = await fetch("/asks");
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        const list = page.getElementById("cards");
        if (!answer.ok || !list) return location.reload();
        update(list);
      } catch {
        // The daemon is away; the stream says when it is back.
      }
      loading = false;
      if (again) {
        again = false;
        load();
      }
    }

    function update(list) {
      const now = new Map([...list.children].map((card) => [card.dataset.ask, card]));
      let came = 0;
      for (const card of [...cards.children]) {
        const next = now.get(card.dataset.ask);
        if (!next) {
          card.remove();
        } else {
          now.delete(card.dataset.ask);
          if (next.dataset.count !== card.dataset.count) {
            card.dataset.count = next.dataset.count;
            card.querySelector("dl").replaceWith(document.adoptNode(next.querySelector("dl")));
          }
        }
      }
      for (const card of now.values()) {
        cards.append(document.adoptNode(card));
        came += 1;
      }
      const count = cards.children.length;
      show(count);
      const waits = count === 1 ? "1 request waits." : `${count || "No"} requests wait.`;
      document.getElementById("said").textContent = came ? `New. ${waits}` : waits;
    }

    if (cards) {
      setInterval(() => {
        for (const time of cards.querySelectorAll("[data-until]")) {
          const left = Math.max(0, Math.round((Date.parse(time.dataset.until) - Date.now()) / 1000));
          const minutes = Math.floor(left / 60);
          time.textContent = minutes ? `${minutes} min ${left % 60} s` : `${left} s`;
        }
      }, 1000);
    }
  }

  /** Puts each request on top of the table, and says now and then how many came. */
  function watchRequests(live, events) {
    const MOST = 200;
    const SILENCE = 5000;
    const rows = document.getElementById("rows");
    const state = document.getElementById("state");
    const pause = document.getElementById("pause");
    if (!rows) return;
    const run = live.dataset.run;
    let held = [];
    let paused = false;
    let fresh = 0;
    let denied = 0;

    const say = (text) => {
      state.textContent = text;
    };
    const add = (row) => {
      rows.prepend(element(row));
      while (rows.children.length > MOST) rows.lastElementChild.remove();
    };
    events.onopen = () => say("Live: new requests appear on top.");
    events.onerror = () => say("Not live: the daemon does not answer. Trying again.");
    events.onmessage = (event) => {
      const row = JSON.parse(event.data);
      if (run && row.run !== run) return;
      fresh += 1;
      if (row.tone === "bad") denied += 1;
      if (paused) {
        held = [...held.slice(1 - MOST), row];
        pause.textContent = `Resume (${held.length} new)`;
      } else {
        add(row);
      }
    };
    events.addEventListener("missed", (event) => {
      say(`${event.data} requests were too fast for this page. The audit log has them.`);
    });
    // A screen reader hears a summary, not each request.
    setInterval(() => {
      if (!fresh || paused) return;
      const refused = denied ? `, ${denied} denied` : "";
      say(`Live: ${fresh} new ${fresh === 1 ? "request" : "requests"}${refused}.`);
      fresh = denied = 0;
    }, SILENCE);

    pause.hidden = false;
    pause.addEventListener("click", () => {
      paused = !paused;
      pause.textContent = paused ? "Resume" : "Pause";
      say(paused ? "Paused." : "Live: new requests appear on top.");
      if (!paused) held.splice(0).forEach(add);
    });
  }

  /** A row as the server writes it. */
  function element(row) {
    const line = make("tr", "new", [
      head("Time (UTC)", [time(row)]),
      cell("Event", [make("span", "what", [row.what]), " ", make("span", "place", [row.place])]),
      cell("Connection", [row.connection && make("span", "name", [row.connection])]),
      cell("Decision", [
        row.decision && make("span", `badge ${row.tone}`, [row.decision]), " ",
        row.detail && make("span", "detail", [row.detail]),
      ]),
      cell("Run", [row.run && link(row.run), row.program && program(row)]),
    ]);
    line.setAttribute("role", "row");
    return line;
  }

  function time(row) {
    const time = make("time", "", [row.when]);
    time.dateTime = row.time;
    return time;
  }

  function link(run) {
    const link = make("a", "", [make("code", "", [run])]);
    link.href = `/runs/${encodeURIComponent(run)}`;
    return link;
  }

  function program(row) {
    const program = make("span", "sub", [row.program]);
    program.title = row.process;
    return program;
  }

  function head(label, content) {
    const head = make("th", "", [make("div", "", content)]);
    head.scope = "row";
    head.setAttribute("role", "rowheader");
    head.dataset.label = label;
    return head;
  }

  function cell(label, content) {
    const cell = make("td", "", [make("div", "", content)]);
    cell.setAttribute("role", "cell");
    cell.dataset.label = label;
    return cell;
  }

  function make(name, classes, content) {
    const made = document.createElement(name);
    if (classes) made.className = classes;
    made.append(...content.filter(Boolean));
    return made;
  }
})();
