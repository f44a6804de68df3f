// Runs in the stage: a frame with an origin of its own and no network. Here rrweb's player rebuilds the recorded page in
// an inner frame that may run no scripts. The page sends orders over one port, and the stage answers over the same port.
(() => {
  const FULL_SNAPSHOT = 2, INCREMENTAL = 3, META = 4;
  const MUTATION = 0, MOUSE_MOVE = 1, VIEWPORT_RESIZE = 4, TOUCH_MOVE = 6, MEDIA = 7, CANVAS = 9, DRAG = 12;
  const MOVES = new Set([MOUSE_MOVE, TOUCH_MOVE, DRAG]);
  const DOCUMENT = 0, ELEMENT = 2;
  const DEFAULT_SIZE = { width: 1280, height: 800 };
  const MAX_SIDE = 16384;
  const TICK_MS = 100;
  const SNAPSHOT_MS = 1000; // how long a client may take from a page's address to its snapshot

  const root = document.getElementById("root");
  let port = null, replayer = null, first = 0, shown = [0, 0], pages = [], playing = false, size = DEFAULT_SIZE;
  let turn = 0; // the number of the last order that said which time to show

  const say = (what) => port && port.postMessage(what);
  const sayTime = () => say({ is: "time", at: first + replayer.getCurrentTime(), turn });
  const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

  function disarm(attributes, element) {
    for (const name of Object.keys(attributes)) {
      if (!allowed.attribute(name, attributes[name], element)) delete attributes[name];
    }
  }

  // Return the event that shows a drawing on a canvas.
  function drawn({ data, timestamp }, canvases) {
    const attributes = [{ id: data.id, attributes: canvases.draw(data) }];
    return { type: INCREMENTAL, timestamp, data: { source: MUTATION, texts: [], removes: [], adds: [], attributes } };
  }

  function disarmTree(root, canvases) {
    const left = [root];
    while (left.length) {
      const node = left.pop();
      if (!isObject(node)) throw new TypeError("no node");
      if (node.type === ELEMENT) {
        if (!allowed.element(node.tagName)) node.tagName = "span";
        if (!isObject(node.attributes)) node.attributes = {};
        if (node.tagName === "canvas") canvases.add(node);
        disarm(node.attributes, node.tagName);
      }
      if (!Array.isArray(node.childNodes)) node.childNodes = [];
      for (const child of node.childNodes) left.push(child);
    }
  }

  // Return the event in a form that can be played. Return null or throw if there is no such form.
  function prepared(event, canvases) {
    if (!isObject(event) || typeof event.timestamp !== "number" || !isObject(event.data)) return null;
    const data = event.data;
    if (event.type === META || (event.type === INCREMENTAL && data.source === VIEWPORT_RESIZE)) {
      return { type: INCREMENTAL, timestamp: event.timestamp, data: { source: VIEWPORT_RESIZE, ...sizeOf(data) } };
    } else if (event.type === FULL_SNAPSHOT) {
      disarmTree(data.node, canvases);
      if (data.node.type !== DOCUMENT || !data.node.childNodes.some(({ type }) => type === ELEMENT)) return null;
      if (!isObject(data.initialOffset)) data.initialOffset = { top: 0, left: 0 };
    } else if (event.type === INCREMENTAL && data.source === MEDIA) {
      return null; // there is no media to play, because nothing is loaded
    } else if (event.type === INCREMENTAL && MOVES.has(data.source)) {
      data.positions = Array.isArray(data.positions) ? data.positions.filter(isObject) : [];
    } else if (event.type === INCREMENTAL && data.source === CANVAS) {
      return drawn(event, canvases);
    } else if (event.type === INCREMENTAL && data.source === MUTATION) {
      for (const field of ["texts", "attributes", "removes", "adds"]) {
        if (!Array.isArray(data[field])) data[field] = [];
      }
      for (const added of data.adds) disarmTree(added.node, canvases);
      for (const changed of data.attributes) {
        if (!isObject(changed.attributes)) continue;
        disarm(changed.attributes);
        canvases.change(changed);
      }
    }
    return event;
  }

  function sizeOf(data) {
    const side = (name) => (data[name] >= 1 ? Math.min(Math.round(Number(data[name])), MAX_SIDE) : DEFAULT_SIZE[name]);
    return { width: side("width"), height: side("height") };
  }

  // The player begins at the last META event that is not after a time. So each full snapshot gets one, and there are no
  // others: nothing before the snapshot is played, and nothing after it is left out.
  // `pages` are the times from which each page is shown, and at which it is there.
  function parse(text) {
    const events = [], pages = [], canvases = canvasPictures();
    let bad = 0, latest = DEFAULT_SIZE, named = -Infinity;
    for (const line of text.split("\n")) {
      if (!line) continue;
      let event = null;
      try {
        event = prepared(JSON.parse(line)[1], canvases);
      } catch (error) {
        event = null;
      }
      if (!event) {
        bad += 1;
        continue;
      }
      const { type, timestamp } = event;
      if (type === FULL_SNAPSHOT) {
        events.push({ type: META, timestamp, data: { href: "", ...latest } });
        pages.push([timestamp - named < SNAPSHOT_MS ? named : timestamp, timestamp]);
      } else if (event.data.source === VIEWPORT_RESIZE) {
        [latest, named] = [sizeOf(event.data), timestamp];
      }
      events.push(event);
    }
    return { events, pages, bad };
  }

  // Skip an event that can't be played. Otherwise the player would stop at it forever.
  class Replayer extends rrwebReplay.Replayer {
    rebuildFullSnapshot(...given) {
      this.attempt(() => super.rebuildFullSnapshot(...given));
    }
    applyIncremental(...given) {
      this.attempt(() => super.applyIncremental(...given));
    }
    attempt(play) {
      try {
        play();
      } catch (error) {
        say({ is: "skipped", events: 1 });
      }
    }
  }

  function fit() {
    const scale = Math.min(innerWidth / size.width, innerHeight / size.height, 1);
    const left = Math.max(0, (innerWidth - size.width * scale) / 2);
    const top = Math.max(0, (innerHeight - size.height * scale) / 2);
    root.style.transform = `translate(${left}px, ${top}px) scale(${scale})`;
  }

  // The player shows what was before a time. So a page that begins and the last event need one more millisecond.
  function seek(at) {
    const [begin, end] = shown;
    const time = Math.min(Math.max(at, begin), end);
    const page = pages.findLast(([from]) => from <= time);
    const there = page && time <= page[1] ? page[1] + 1 : time;
    const offset = (time === end ? end + 1 : there) - first;
    replayer.virtualDom.scrollData = null; // else the player scrolls to where an earlier seek did
    if (playing) replayer.play(offset);
    else replayer.pause(offset);
    say({ is: "time", at, turn });
  }

  const actions = {
    load({ number, text, at, speed, turn: given }) {
      turn = given;
      if (replayer) replayer.destroy();
      replayer = null;
      playing = false;
      const { events, bad, pages: found } = parse(text);
      pages = found;
      if (!pages.length) {
        say({ is: "problem", text: "This window contains nothing that can be played." });
        return;
      }
      first = events[0].timestamp;
      shown = [pages[0][1], events.at(-1).timestamp];
      replayer = new Replayer(events, {
        root,
        speed,
        triggerFocus: false,
        showWarning: false,
        insertStyleRules: ["* { scroll-behavior: auto !important; }"], // else a seek begins to scroll, and does not arrive
        mouseTail: { duration: 500, lineCap: "round", lineWidth: 3, strokeStyle: "#2f6fed" },
      });
      replayer.on("resize", (given) => {
        size = given;
        fit();
      });
      replayer.on("finish", () => {
        if (!playing) return; // the viewer went to the end
        playing = false;
        say({ is: "end", turn });
      });
      size = events.find(({ type }) => type === META).data;
      fit();
      seek(at);
      const now = size; // the player soon takes the size of the first page, whatever the time
      setTimeout(() => replayer && replayer.emitter.emit("resize", now));
      say({ is: "ready", number });
      if (bad) say({ is: "skipped", events: bad });
    },
    play({ at, turn: given }) {
      if (!replayer) return;
      turn = given;
      playing = true;
      seek(at);
    },
    pause() {
      if (!replayer) return;
      playing = false;
      replayer.pause();
      sayTime();
    },
    seek({ at, turn: given }) {
      turn = given;
      if (replayer) seek(at);
    },
    speed({ speed }) {
      if (replayer) replayer.setConfig({ speed });
    },
  };

  addEventListener("resize", fit);
  addEventListener("error", () => say({ is: "problem", text: "A part of this recording can't be played." }));
  addEventListener("unhandledrejection", (event) => event.preventDefault()); // from media that can't be loaded or played
  setInterval(() => playing && sayTime(), TICK_MS);
  addEventListener("message", (message) => {
    if (port || message.source !== parent) return;
    port = message.ports[0];
    port.onmessage = ({ data }) => actions[data.do](data);
  });
})();
