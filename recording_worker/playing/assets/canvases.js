// Canvases of a recorded page. A canvas shows nothing if no scripts may run. So a picture becomes its content, in its
// style: first what the snapshot holds, then each recorded drawing. The element stays a canvas, because another element
// would meet other rules of the page's style sheets. The picture is as large as the canvas says (width, height), since
// styles such as `height: auto` and `object-fit` ask for this size.
function canvasPictures() {
  const NONE = { width: "300", height: "150" }; // the size of a canvas that does not say it
  const MAX_SIDE = 32767;
  const PICTURE = /^data:image\/[a-z]+;base64,[\w+/=]*$/;
  const known = new Map(); // number of a node → its attributes that matter here, and its picture

  function side(canvas, name) {
    const given = /^\s*\+?(\d+)/.exec(canvas[name]);
    return given ? Math.min(Number(given[1]), MAX_SIDE) : Number(NONE[name]);
  }
  function content(canvas) {
    const size = `width='${side(canvas, "width")}' height='${side(canvas, "height")}'`;
    const image = PICTURE.test(canvas.picture) ? `<image ${size} preserveAspectRatio='none' href='${canvas.picture}'/>` : "";
    const svg = `<svg xmlns='http://www.w3.org/2000/svg' ${size}>${image}</svg>`;
    return `url("data:image/svg+xml,${svg.replaceAll("<", "%3C").replaceAll(">", "%3E")}")`;
  }
  // Style the content first: what follows may be malformed.
  const styled = (canvas, style) => `content:${content(canvas)} !important;${typeof style === "string" ? style : ""}`;
  const restyled = (canvas, style) => ({ ...style, content: [content(canvas), "important"] });

  return {
    // Take a canvas of a snapshot, or one that was added.
    add({ id, attributes }) {
      const { width, height } = attributes, canvas = { width, height, picture: attributes.rr_dataURL };
      delete attributes.rr_dataURL;
      attributes.style = styled(canvas, attributes.style);
      known.set(id, canvas);
    },
    // Take changed attributes of a node. A canvas that gets a size is empty afterwards.
    change({ id, attributes }) {
      const canvas = known.get(id);
      if (!canvas) return;
      const resized = ["width", "height"].filter((name) => Object.hasOwn(attributes, name));
      for (const name of resized) canvas[name] = attributes[name];
      if (resized.length) canvas.picture = undefined;
      const { style } = attributes;
      if (typeof style === "string" || style === null) attributes.style = styled(canvas, style);
      else if (resized.length || Object.hasOwn(style || {}, "content")) attributes.style = restyled(canvas, style);
    },
    // Return the attributes that show a drawing. Recorded are drawings of the whole content.
    draw({ id, commands, ...only }) {
      const canvas = known.get(id);
      const command = (Array.isArray(commands) ? commands : [only]).findLast(({ property }) => property === "drawImage");
      const blob = command.args[0].args[0];
      canvas.picture = `data:${blob.type};base64,${blob.data[0].base64}`;
      if (!PICTURE.test(canvas.picture)) throw new TypeError("no picture");
      return { style: restyled(canvas) };
    },
  };
}
