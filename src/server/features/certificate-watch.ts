import type { NewEvent } from '#store/events.ts';
import type { Chore } from '../chores.ts';
import { registeredCertificates, type ExpiryLevel, type RegisteredCertificate } from './certificate-register.ts';
import type { Context } from './context.ts';
import { everyItem } from './pages.ts';

const LOOK_MS = 3_600_000;
const DAY_MS = 24 * LOOK_MS;
/** Each step is told once within this time, whoever restarts meanwhile. */
const REMEMBERED_MS = 40 * DAY_MS;

const TYPE = 'certificate.ends';

interface Told {
  readonly certificate: string;
  readonly level: ExpiryLevel;
}

/** Tells people of each certificate that comes nearer to its end, once at each step: as a notice, and in the log of the server. */
export function certificateWatch(context: Pick<Context, 'ports' | 'configuration'>): Chore {
  const { store, clock, log } = context.ports;
  return {
    name: 'look at certificates',
    everyMs: LOOK_MS,
    async run() {
      const told = new Set<string>();
      const filter = { type: TYPE, from: clock.now() - REMEMBERED_MS };
      for await (const { data } of everyItem((request) => store.events.list({ ...request, filter })))
        told.add(keyOf(data as unknown as Told));
      const due = (await registeredCertificates(context)).filter(
        (each) => each.level !== 'ok' && !told.has(keyOf(toldOf(each))),
      );
      if (due.length === 0) return;
      await store.events.add(due.map((each) => noticeOf(each, clock.now())));
      for (const each of due) log({ message: messageOf(each), requestId: null, error: null });
    },
  };
}

/** A place is told of again when another certificate is in it. */
function toldOf({ use, of, fingerprint, level }: RegisteredCertificate): Told {
  return { certificate: `${use} ${of ?? ''} ${fingerprint ?? ''}`, level };
}

function keyOf({ certificate, level }: Told): string {
  return `${certificate} ${level}`;
}

function noticeOf(certificate: RegisteredCertificate, at: number): NewEvent {
  const { use, of, level } = certificate;
  return {
    at,
    type: TYPE,
    level: level === 'notice' ? 'info' : level === 'warning' ? 'warning' : 'error',
    jobId: null,
    cluster: use.startsWith('cluster') ? of : null,
    topic: null,
    actor: null,
    message: messageOf(certificate),
    data: { ...toldOf(certificate) },
  };
}

function messageOf({ use, of, subject, notAfter, level, trouble }: RegisteredCertificate): string {
  const what = `The certificate (${use}${of === null ? '' : ` of ${of}`}${subject === null ? '' : `, ${subject}`})`;
  if (notAfter === null) return `${what} cannot be read: ${trouble?.message ?? 'nothing more is known'}`;
  const day = new Date(notAfter).toISOString().slice(0, 10);
  return level === 'expired' ? `${what} ended on ${day}.` : `${what} ends on ${day}.`;
}
