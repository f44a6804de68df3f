// What outlives the page: the time in its address (#t=83, in seconds, and #t=83&w=2 if there are several windows), and
// what the viewer prefers.
const WRITE_MS = 500; // browsers refuse pages that change their address more often

// `otherwise` is the time, in ms after the start, if the address says none.
function timeInAddress(several, otherwise) {
  let wanted = "", timer = 0;

  function write() {
    timer = 0;
    if (location.hash !== wanted) history.replaceState(null, "", wanted);
  }
  return {
    // Return the time in ms since the session's start and the window's index that an address asks for by its hash. Each
    // may be null.
    read(hash) {
      const given = new URLSearchParams(hash.slice(1));
      const number = (name) => (/^\d{1,9}(\.\d{1,3})?$/.test(given.get(name)) ? Number(given.get(name)) : null);
      const seconds = number("t"), window = number("w");
      return { after: seconds === null ? otherwise : seconds * 1000, window: window === null ? null : window - 1 };
    },
    keep(after, window) {
      wanted = `#t=${Math.floor(after / 1000)}${several ? `&w=${window + 1}` : ""}`;
      if (!timer) timer = setTimeout(write, WRITE_MS);
    },
  };
}

// A page from a server has another port each time, and only cookies are shared by ports. A file has no cookies.
const remembered = {
  read(name) {
    const cookie = document.cookie.split("; ").find((one) => one.startsWith(`${name}=`));
    if (cookie) return cookie.slice(name.length + 1);
    try {
      return localStorage.getItem(name);
    } catch (error) {
      return null; // the viewer's browser keeps nothing
    }
  },
  write(name, value) {
    if (location.protocol !== "file:") {
      document.cookie = `${name}=${value}; path=/; max-age=31536000; SameSite=Strict`;
      return;
    }
    try {
      localStorage.setItem(name, value);
    } catch (error) {
      // the viewer's browser keeps nothing
    }
  },
};
