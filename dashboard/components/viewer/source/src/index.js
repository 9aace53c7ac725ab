/** Entry point of the Streamlit component: one Viewer per mount, kept over reruns. */

import { Viewer } from "./viewer.js";

const viewers = new WeakMap();

export default function mount({ data, parentElement, setStateValue }) {
  let entry = viewers.get(parentElement);
  if (!entry) {
    entry = { viewer: new Viewer(parentElement), call: 0 };
    viewers.set(parentElement, entry);
  }
  entry.call += 1;
  const { call } = entry;
  entry.viewer.update(data, setStateValue);
  return () => {
    // The page also calls this for a call that a newer one has overtaken: only a real goodbye counts.
    setTimeout(() => {
      const host = parentElement.host ?? parentElement;
      if (entry.call !== call || host.isConnected) return;
      entry.viewer.dispose();
      viewers.delete(parentElement);
    }, 100);
  };
}
