import type { Incident, MirrorStatus, RunEvent } from '#contract/status.ts';
import type { Clock } from '#util/clock.ts';
import { clip, formatTime } from '../format.ts';
import type { Io } from '../io.ts';
import { renderMirrors, type MirrorView } from './live-view.ts';
import type { Printer } from './printer.ts';
import { RateMeter } from './rates.ts';
import { WarningGate } from './warning-gate.ts';
import {
  describeEnd,
  describeGroups,
  describeIncident,
  describeIncidentEnd,
  describeShares,
  describeStart,
  describeSynced,
  describeTopic,
  describeVerifying,
  describeVerifyingEnd,
} from './words.ts';

/** `12:00:00Z ` */
const STAMP_COLUMNS = 10;

/**
 * For a terminal: a block that is redrawn at each progress, twice a second. What must not scroll away with it (topics,
 * warnings, incidents, the end of a mirror) is printed once above it and stays.
 */
export class LivePrinter implements Printer {
  readonly progressMs = 500;
  readonly #io: Io;
  readonly #clock: Clock;
  readonly #startMs: number;
  readonly #meters = new Map<string, RateMeter>();
  readonly #views = new Map<string, MirrorView>();
  readonly #refusedTopics = new Map<string, string[]>();
  /** A line of each verification, by its name. */
  readonly #verifying = new Map<string, string>();
  readonly #gate = new WarningGate();
  #drawnLines = 0;

  constructor(io: Io, clock: Clock) {
    this.#io = io;
    this.#clock = clock;
    this.#startMs = clock.monotonic();
  }

  note(text: string): void {
    this.#draw([this.#stamped(this.#clock.now(), this.#io.style('yellow', text))]);
  }

  print(event: RunEvent): void {
    const io = this.#io;
    switch (event.event) {
      case 'started':
        return this.#draw([this.#stamped(event.at, describeStart(event))]);
      case 'topic':
        return this.#draw([this.#stamped(event.at, describeTopic(event))]);
      case 'shares':
        return this.#draw([this.#stamped(event.at, describeShares(event))]);
      case 'groups':
        return this.#drawLines(event.at, describeGroups(event, this.#io.columns() - STAMP_COLUMNS));
      case 'synced':
        return this.#drawLines(event.at, describeSynced(event, this.#io.columns() - STAMP_COLUMNS));
      case 'warning':
        for (const text of this.#gate.admit(event, this.#clock.monotonic()))
          this.#draw([this.#stamped(event.at, io.style('yellow', text))]);
        return;
      case 'incident':
        return this.#drawIncident(event.incident);
      case 'incident-ended':
        return this.#drawIncidentEnd(event);
      case 'progress':
        this.#update(event.status);
        return this.#draw([]);
      case 'verifying':
        this.#verifying.set(event.status.job, describeVerifying(event.status));
        return this.#draw([]);
      case 'verifying-ended':
        this.#verifying.delete(event.job);
        return this.#drawLines(event.at, describeVerifyingEnd(this.#io, event));
      case 'ended':
        this.#views.delete(event.mirror);
        return this.#drawEnd(event);
    }
  }

  #drawEnd(event: Extract<RunEvent, { event: 'ended' }>): void {
    const [first = '', ...rest] = describeEnd(this.#io, event, this.#elapsedMs());
    this.#draw([this.#stamped(event.at, first), ...rest]);
  }

  #drawIncident(incident: Incident): void {
    const { mirror, topic, partition } = incident;
    if (topic !== null && partition === null)
      this.#refusedTopics.set(mirror, [...(this.#refusedTopics.get(mirror) ?? []), topic]);
    const [first = '', ...rest] = describeIncident(this.#io, incident, this.#io.columns() - STAMP_COLUMNS);
    this.#draw([this.#stamped(incident.at, first), ...rest]);
  }

  #drawIncidentEnd(event: Extract<RunEvent, { event: 'incident-ended' }>): void {
    const { mirror, topic } = event.incident;
    const refused = (this.#refusedTopics.get(mirror) ?? []).filter((each) => each !== topic);
    this.#refusedTopics.set(mirror, refused);
    const [first = '', ...rest] = describeIncidentEnd(this.#io, event, this.#io.columns() - STAMP_COLUMNS);
    this.#draw([this.#stamped(event.at, first), ...rest]);
  }

  #drawLines(atMs: number, [first = '', ...rest]: readonly string[]): void {
    this.#draw([this.#stamped(atMs, first), ...rest]);
  }

  #update(status: MirrorStatus): void {
    const meter = this.#meters.get(status.mirror) ?? new RateMeter();
    this.#meters.set(status.mirror, meter);
    const rates = meter.add(status, this.#clock.monotonic());
    const refusedTopics = this.#refusedTopics.get(status.mirror) ?? [];
    this.#views.set(status.mirror, { status, rates, refusedTopics, elapsedMs: this.#elapsedMs() });
  }

  /** Prints lines that stay, and the block anew below them, in one write: a terminal shows no half-drawn block. */
  #draw(staying: readonly string[]): void {
    const lines = [...this.#verifying.values()].map((line) => clip(line, this.#io.columns()));
    const block = [...renderMirrors(this.#io, [...this.#views.values()]), ...lines].slice(0, this.#io.rows() - 1);
    const erase = this.#drawnLines === 0 ? '' : `\u001B[${this.#drawnLines}A\u001B[J`;
    this.#io.out(`${erase}${[...staying, ...block].map((line) => `${line}\n`).join('')}`);
    this.#drawnLines = block.length;
  }

  #stamped(atMs: number, text: string): string {
    return `${this.#io.style('dim', formatTime(atMs))} ${text}`;
  }

  #elapsedMs(): number {
    return this.#clock.monotonic() - this.#startMs;
  }
}
