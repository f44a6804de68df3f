"use strict";
// What of a recorded page the player may rebuild. The sandbox and the policy stop scripts and loading, but not all that
// opens a connection: a frame connects before it is refused, and so do hints. What may be rebuilt is listed, so that
// what browsers learn later is not rebuilt either. Little is lost: what is not in the recording as a data: URL can't be
// shown anyway.
const allowed = (() => {
  const names = (text) => new Set(text.trim().split(/\s+/));

  const ELEMENTS = names(`
    a abbr acronym address area article aside audio b bdi bdo big blockquote body br button canvas caption center cite
    code col colgroup data datalist dd del details dfn dialog dir div dl dt em fieldset figcaption figure font footer
    form h1 h2 h3 h4 h5 h6 head header hgroup hr html i iframe img input ins kbd label legend li link main map mark
    marquee menu meta meter nav nobr noscript ol optgroup option output p picture pre progress q rb rp rt rtc ruby s
    samp script search section select slot small source span strike strong style sub summary sup table tbody td template
    textarea tfoot th thead time title tr track tt u ul var video wbr
    svg animate animatemotion animatetransform circle clippath defs desc ellipse filter foreignobject g image line
    lineargradient marker mask metadata mpath path pattern polygon polyline radialgradient rect set stop switch symbol
    text textpath tspan use view feblend fecolormatrix fecomponenttransfer fecomposite feconvolvematrix
    fediffuselighting fedisplacementmap fedistantlight fedropshadow feflood fefunca fefuncb fefuncg fefuncr
    fegaussianblur feimage femerge femergenode femorphology feoffset fepointlight fespecularlighting fespotlight fetile
    feturbulence
    math annotation menclose merror mfenced mfrac mi mmultiscripts mn mo mover mpadded mphantom mroot mrow ms mspace
    msqrt mstyle msub msubsup msup mtable mtd mtext mtr munder munderover semantics`);

  const ATTRIBUTES = names(`
    _csstext abbr accept align allowfullscreen alt autocomplete axis bgcolor border bordercolor cellpadding cellspacing
    char charoff charset checked cite class clear color cols colspan compact contenteditable controls coords datetime
    decoding default dir disabled download draggable enctype enterkeyhint face fetchpriority for frame frameborder
    headers height hidden high href hreflang hspace id inert inputmode ismap itemid itemprop itemref itemscope itemtype
    kind label lang leftmargin link list loading loop low marginheight marginwidth max maxlength media method min
    minlength multiple muted name nohref noresize noshade novalidate nowrap open optimum part pattern placeholder
    playsinline popover preload readonly required reversed role rows rowspan rules scope scrolling selected shape size
    sizes slot span spellcheck start step style summary tabindex text title topmargin translate type usemap valign value
    vlink vspace width wrap xlink:href xml:lang xml:space xmlns xmlns:xlink
    rr_height rr_mediacurrenttime rr_medialoop rr_mediamuted rr_mediaplaybackrate rr_mediavolume rr_open_mode
    rr_scrollleft rr_scrolltop rr_width
    accumulate additive amplitude attributetype azimuth basefrequency begin bias by calcmode clip clippathunits cursor
    cx cy d diffuseconstant direction display divisor dur dx dy edgemode elevation end exponent fill filter filterunits
    font format fr from fx fy gradienttransform gradientunits in in2 intercept k1 k2 k3 k4 kernelmatrix
    kernelunitlength keypoints keysplines keytimes lengthadjust limitingconeangle markerheight markerunits markerwidth
    mask maskcontentunits maskunits mode numoctaves offset opacity operator order orient origin overflow path pathlength
    patterncontentunits patterntransform patternunits points pointsatx pointsaty pointsatz preservealpha
    preserveaspectratio primitiveunits r radius refx refy repeatcount repeatdur restart result rotate rx ry scale seed
    slope spacing specularconstant specularexponent spreadmethod startoffset stddeviation stitchtiles stroke
    surfacescale systemlanguage tablevalues targetx targety textlength to transform values version viewbox visibility x
    x1 x2 xchannelselector y y1 y2 ychannelselector z zoomandpan
    accent accentunder columnalign columnspacing depth displaystyle fence form largeop linethickness lspace mathbackground
    mathcolor mathsize mathvariant maxsize minsize movablelimits notation rowalign rowspacing rspace scriptlevel
    separator stretchy symmetric voffset`);
  const ONLY_DATA = names("src poster background rr_dataurl");

  // Names with a hyphen belong to pages: to their styles and their own elements. HTML has only http-equiv and
  // accept-charset, and the names of SVG and ARIA are harmless.
  const ofPages = (name) => name.includes("-") && name !== "http-equiv" && !name.startsWith("on");

  const isCustom = (element) => /^[a-z][\w.]*-[\w.-]*$/i.test(element);

  const element = (name) => ELEMENTS.has(String(name).toLowerCase()) || isCustom(name);

  // `element`: the element's name if it is known. A page's own elements may have any attribute with plain words.
  function attribute(name, given, element = "") {
    const plain = name.toLowerCase(), value = String(given).trim().toLowerCase();
    if (given === null) return true; // it takes the attribute away
    if (plain === "rel") return value === "stylesheet";
    if (plain === "attributename") return !/href|src|^on/.test(value); // what an SVG animation changes
    if (ONLY_DATA.has(plain)) return value.startsWith("data:");
    if (ATTRIBUTES.has(plain) || ofPages(plain)) return true;
    return isCustom(element) && /^(?!on)[a-z]+$/.test(plain) && /^[\w .,%+-]*$/.test(value);
  }

  return { element, attribute };
})();
