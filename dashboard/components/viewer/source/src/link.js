/** Viewers of one image that look at the same place: zoom, pan, slice and window go from one to the others. */

// On the page, not in this module: each mount may load a copy of its own.
const groups = (globalThis.whycadViewerLinks ??= new Map());

const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

export class Link {
  constructor(viewer) {
    this.viewer = viewer;
    this.name = "";
  }

  /** Join a group by its name; empty for none. */
  join(name) {
    if (name === this.name) return;
    this.leave();
    this.name = name;
    if (name) groups.set(name, (groups.get(name) ?? new Set()).add(this));
  }

  leave() {
    const group = groups.get(this.name);
    group?.delete(this);
    if (group && !group.size) groups.delete(this.name);
    this.name = "";
  }

  get peers() {
    const { image } = this.viewer.data;
    const others = [...(groups.get(this.name) ?? [])].filter((link) => link !== this && link.viewer.ready);
    return others.filter((link) => link.viewer.data.image.version === image.version);
  }

  get look() {
    return { ...this.viewer.stage.look(), window: [...this.viewer.state.window] };
  }

  /** Take over where the others look: for a viewer that has just opened its image. */
  catchUp() {
    const [peer] = this.peers;
    if (peer) this.follow(peer.look);
    else this.last = this.look;
  }

  /** Tell the others, where the reader has moved this one. */
  share() {
    if (!this.name) return;
    const { look } = this;
    if (same(look, this.last)) return;
    this.last = look;
    for (const peer of this.peers) peer.follow(look);
  }

  follow(look) {
    const { window, ...place } = look;
    this.viewer.stage.setLook(place);
    this.viewer.state.window = [...window];
    this.last = this.look;
    this.viewer.changed();
  }
}
