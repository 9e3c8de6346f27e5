import type { MirrorStatus, RunEvent } from '#contract/status.ts';
import type { Clock } from '#util/clock.ts';
import { formatBytes, formatDuration, formatNumberOf, formatTime } from '../format.ts';
import type { Io } from '../io.ts';
import type { Printer } from './printer.ts';
import { RateMeter } from './rates.ts';
import { WarningGate } from './warning-gate.ts';
import {
  describeEnd,
  describeGroups,
  describeIncident,
  describeIncidentEnd,
  describeLag,
  describeRates,
  describeShares,
  describeStart,
  describeStates,
  describeSynced,
  describeTopic,
  describeVerifying,
  describeVerifyingEnd,
} from './words.ts';

/** For logs and pipes: one line at each event, and one of progress every five seconds. */
export class LinePrinter implements Printer {
  readonly progressMs = 5_000;
  readonly #io: Io;
  readonly #clock: Clock;
  readonly #startMs: number;
  readonly #meters = new Map<string, RateMeter>();
  readonly #gate = new WarningGate();

  constructor(io: Io, clock: Clock) {
    this.#io = io;
    this.#clock = clock;
    this.#startMs = clock.monotonic();
  }

  note(text: string): void {
    this.#line(this.#clock.now(), [text]);
  }

  print(event: RunEvent): void {
    switch (event.event) {
      case 'started':
        return this.#line(event.at, [describeStart(event)]);
      case 'topic':
        return this.#line(event.at, [describeTopic(event)]);
      case 'shares':
        return this.#line(event.at, [describeShares(event)]);
      case 'groups':
        return this.#line(event.at, describeGroups(event, Infinity));
      case 'synced':
        return this.#line(event.at, describeSynced(event, Infinity));
      case 'warning':
        for (const text of this.#gate.admit(event, this.#clock.monotonic()))
          this.#line(event.at, [this.#io.style('yellow', text)]);
        return;
      case 'incident':
        return this.#line(event.incident.at, describeIncident(this.#io, event.incident, Infinity));
      case 'incident-ended':
        return this.#line(event.at, describeIncidentEnd(this.#io, event, Infinity));
      case 'progress':
        return this.#line(event.status.at, [this.#progress(event.status)]);
      case 'verifying':
        return this.#line(event.status.at, [describeVerifying(event.status)]);
      case 'verifying-ended':
        return this.#line(event.at, describeVerifyingEnd(this.#io, event));
      case 'ended':
        return this.#line(event.at, describeEnd(this.#io, event, this.#clock.monotonic() - this.#startMs));
    }
  }

  #progress(status: MirrorStatus): string {
    const meter = this.#meters.get(status.mirror) ?? new RateMeter();
    this.#meters.set(status.mirror, meter);
    const rates = meter.add(status, this.#clock.monotonic());
    const eta =
      rates?.etaMs === null || rates === null || rates.etaMs === 0 ? '' : `; ETA ${formatDuration(rates.etaMs)}`;
    const copied = `${formatNumberOf(status.recordsCopied, 'record')}, ${formatBytes(status.bytesCopied)} copied`;
    return `${status.mirror}: ${copied}; ${describeRates(rates)}; lag ${describeLag(status)}${eta}; ${describeStates(status.shards)}`;
  }

  #line(atMs: number, lines: readonly string[]): void {
    this.#io.out(lines.map((line) => `${formatTime(atMs)} ${line}\n`).join(''));
  }
}
