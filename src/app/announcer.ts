/** What a process tells of itself, as far as it is asked to. */
import type { ErrorRow } from '#contract/errors.ts';
import type { ServeEvent } from '#contract/serve-events.ts';
import type { RunEvent } from '#contract/status.ts';
import type { Clock } from '#util/clock.ts';
import { troubleEvent } from './trouble.ts';

type Level = ErrorRow['level'];
export type ProcessEvent = ServeEvent | RunEvent;

const ORDER: readonly Level[] = ['error', 'warn', 'info', 'debug'];

export class Announcer {
  readonly #clock: Clock;
  readonly #onEvent: (event: ProcessEvent) => void;
  level: Level = 'info';

  constructor(clock: Clock, onEvent: (event: ProcessEvent) => void) {
    this.#clock = clock;
    this.#onEvent = onEvent;
  }

  readonly tell = (event: ProcessEvent): void => {
    if (ORDER.indexOf(levelOf(event)) <= ORDER.indexOf(this.level)) this.#onEvent(event);
  };

  readonly trouble = (message: string, error: unknown): void =>
    this.tell(troubleEvent({ message, requestId: null, error }, this.#clock.now()));
}

/** Where a server is reached and the like is always told. */
function levelOf(event: ProcessEvent): Level {
  switch (event.event) {
    case 'trouble':
      return event.level;
    case 'job':
      return event.state === 'failed' ? 'error' : 'info';
    case 'incident':
      return event.incident.severity === 'error' ? 'error' : 'warn';
    case 'warning':
      return 'warn';
    case 'listening':
    case 'metrics':
    case 'setup-token':
    case 'audit-log':
    case 'dangling-intent':
    case 'restored':
    case 'standing-by':
    case 'certificate':
    case 'stopping':
    case 'stopped':
      return 'error';
    default:
      return 'info';
  }
}
