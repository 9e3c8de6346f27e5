/** What a server or worker says of itself and of its jobs, as lines for people or for machines. */
import type { ServeEvent } from '#contract/serve-events.ts';
import type { RunEvent } from '#contract/status.ts';
import { printable, printableJson } from '#util/printable.ts';
import type { Context } from '../context.ts';
import { formatTime } from '../format.ts';
import { LinePrinter } from './line-printer.ts';

export function printProcess(
  { io, host }: Pick<Context, 'io' | 'host'>,
  { isJson }: { readonly isJson: boolean },
): (event: ServeEvent | RunEvent) => void {
  const lines = new LinePrinter(io, host.clock);
  return (event) => {
    if (isJson) return io.out(`${printableJson(event)}\n`);
    if (!isServeEvent(event)) return lines.print(event);
    for (const line of linesOf(event)) io.out(`${formatTime(event.at)} ${printable(line)}\n`);
    if (event.event === 'trouble' && event.stack !== null && io.isDebug) io.err(`${event.stack}\n`);
  };
}

const SERVE_EVENTS = new Set<string>([
  'listening',
  'metrics',
  'setup-token',
  'audit-log',
  'dangling-intent',
  'restored',
  'standing-by',
  'job',
  'certificate',
  'trouble',
  'stopping',
  'stopped',
] satisfies ServeEvent['event'][]);

function isServeEvent(event: ServeEvent | RunEvent): event is ServeEvent {
  return SERVE_EVENTS.has(event.event);
}

function linesOf(event: ServeEvent): string[] {
  switch (event.event) {
    case 'listening':
      return [`server: ${event.url}, its API at ${event.url}/docs`];
    case 'metrics':
      return [`metrics: ${event.url}`];
    case 'setup-token':
      return [
        `setup: there is no user yet; ${event.file === null ? 'this token creates' : `the token in ${event.file} creates`} the first administrator, once and within an hour`,
        ...(event.token === null ? [] : [`setup: ${event.token}`]),
      ];
    case 'audit-log':
      return [
        `audit log: ${event.directory}, ${event.entries} entries${event.dangling === 0 ? '' : `; ${event.dangling} intents were open and are settled as unknown`}`,
        `audit log: verifier key ${event.key}`,
      ];
    case 'dangling-intent':
      return [
        `audit log: nobody knows how ${event.action} of ${event.resource} ended (entry ${event.seq}): ${effectOf(event)}`,
      ];
    case 'restored':
      return [`database: put back as it was when ${event.backup} was taken`];
    case 'standing-by':
      return ['server: another one has the database; this one runs jobs, and takes its place when it is gone'];
    case 'job':
      return [`${event.name}: ${event.state}${event.reason === null ? '' : `: ${event.reason}`}`];
    case 'certificate':
      return [`server: shows the new certificate, valid until ${formatDay(event.validUntil)}`];
    case 'trouble':
      return troubleLines(event);
    case 'stopping':
      return ['stopping: waiting for what is in flight; a second signal ends at once'];
    case 'stopped':
      return ['stopped'];
  }
}

function effectOf({ hasEffect }: Extract<ServeEvent, { event: 'dangling-intent' }>): string {
  if (hasEffect === null) return 'the database could not be asked';
  return hasEffect ? 'the database has its effect' : 'the database has no effect of it';
}

function troubleLines(event: Extract<ServeEvent, { event: 'trouble' }>): string[] {
  const request = event.requestId === null ? '' : ` (request ${event.requestId})`;
  return [
    `${event.level}: ${event.message}${request}: ${event.code}: ${event.causes.join(': ')}`,
    ...(event.nextStep === null ? [] : [`  next: ${event.nextStep}`]),
  ];
}

function formatDay(at: number): string {
  return new Date(at).toISOString().slice(0, 10);
}
