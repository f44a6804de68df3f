// The keys that the page understands, and the help that names them: both are made from one list of orders.
// An order is { keys: what the browser calls them, shown: what the help calls them, does, run }.
function listenToKeys(help, list, orders) {
  const TYPED_IN = "input:not([type=checkbox]), select"; // all keys are theirs
  const PRESSED = "button, summary, input"; // the space key is theirs
  const all = [...orders, { keys: ["?"], shown: ["?"], does: "Show and hide these keys", run: toggleHelp }];
  let byPointer = false; // the viewer last used a pointer, not a key

  function toggleHelp() {
    if (help.open) help.close();
    else help.showModal();
  }

  for (const { shown, does } of all) {
    const names = make("dt");
    for (const name of shown) names.append(make("kbd", "", name));
    list.append(names, make("dd", "", does));
  }

  // A control that was used with a pointer gives the keyboard back: the next space plays, and opens no list.
  const giveBack = (controls) => {
    if (byPointer && document.activeElement.matches(controls)) document.activeElement.blur();
  };
  addEventListener("pointerdown", () => { byPointer = true; }, true);
  addEventListener("click", () => giveBack("button, summary, [type=checkbox]"));
  addEventListener("change", () => giveBack("select"));

  addEventListener("keydown", (event) => {
    byPointer = false;
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches(TYPED_IN)) return;
    if (event.key === " " && event.target.matches(PRESSED)) return;
    const order = all.find(({ keys }) => keys.includes(event.key));
    if (!order || (help.open && order.run !== toggleHelp)) return;
    order.run();
    event.preventDefault();
  });
  return toggleHelp;
}
