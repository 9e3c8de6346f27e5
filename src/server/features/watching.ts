/** Live streams, and the audit log for reading. */
import { Readable } from 'node:stream';
import type { watchingRoutes } from '#contract/api/routes/watching.ts';
import { AppError } from '#contract/errors.ts';
import type { FastifyRequest } from 'fastify';
import type { z } from 'zod';
import type { auditEntrySchema } from '#contract/api/routes/watching.ts';
import { routes } from '#contract/api/routes.ts';
import { createCredential, readCredential } from '../auth/credential.ts';
import type { Handlers } from '../http/call.ts';
import { csvRow } from '../http/csv.ts';
import { requireSafe } from '../http/pipeline.ts';
import type { SocketLike } from '../http/server.ts';
import { openEventStream } from '../live/event-stream.ts';
import { openSocketStream } from '../live/socket-stream.ts';
import { UNNAMED } from '../personal-notes.ts';
import type { AuditEntry, AuditFilter } from '../ports.ts';
import type { Context } from './context.ts';
import { inPieces } from './user-names.ts';

const TICKET_MS = 30_000;
const EXPORT_ENTRIES_MAX = 100_000;
const EXPORT_BATCH = 1_000;
const POLICY_VIOLATION = 1008;

interface StatedFilter {
  readonly from?: number | undefined;
  readonly to?: number | undefined;
  readonly action?: string | undefined;
  readonly actor?: string | undefined;
  readonly outcome?: AuditFilter['outcome'];
}

export function watchingHandlers(context: Context): Pick<Handlers, keyof typeof watchingRoutes> {
  const { ports, live, settings, personal } = context;
  const { store, auditTrail, entropy, clock } = ports;

  /** The log knows people by ids and commitments; what these are stands beside it, until it is erased. */
  const factsOf = async (entries: readonly AuditEntry[]): Promise<Personal> => {
    const ids = new Set(entries.flatMap(({ actor, resource }) => [actor.id, resource.id]));
    const commitments = new Set(entries.flatMap(commitmentsIn));
    const [names, values] = await Promise.all([
      inPieces([...ids], (some) => store.personal.names(some)),
      inPieces([...commitments], (some) => store.personal.find(some)),
    ]);
    return {
      names: new Map(names.map(({ id, name }) => [id, name])),
      values: new Map(values.map(({ commitment, value }) => [commitment, value])),
    };
  };

  const filterOf = async ({ from, to, action, actor, outcome }: StatedFilter): Promise<AuditFilter> => {
    const user = actor === undefined ? null : await store.users.getByName(actor);
    const former = actor === undefined || user !== null ? null : await store.personal.formerUser(actor);
    return {
      ...(from === undefined ? {} : { fromTs: from }),
      ...(to === undefined ? {} : { toTs: to }),
      ...(action === undefined ? {} : { action }),
      // What is nobody's name may be an id.
      ...(actor === undefined ? {} : { actorId: user?.id ?? former ?? actor }),
      ...(outcome === undefined ? {} : { outcome }),
    };
  };

  /** The first of those that the filter lets through, each with the name of who did it. */
  async function* named(filter: AuditFilter): AsyncIterable<readonly Named[]> {
    let batch: AuditEntry[] = [];
    let left = EXPORT_ENTRIES_MAX;
    const found = async (): Promise<Named[]> => {
      const facts = await factsOf(batch);
      return batch.map((entry) => ({ entry, view: entryView(entry, facts) }));
    };
    for await (const entry of auditTrail.all(filter)) {
      if (left-- === 0) break;
      if (batch.push(entry) < EXPORT_BATCH) continue;
      yield await found();
      batch = [];
    }
    yield await found();
  }

  async function* csv(filter: AuditFilter): AsyncIterable<string> {
    yield csvRow([
      'seq',
      'time',
      'phase',
      'outcome',
      'action',
      'actor',
      'resource',
      'reason',
      'request',
      'intent',
      'address',
      'userAgent',
    ]);
    for await (const batch of named(filter)) yield batch.map(rowOf).join('');
  }

  async function* jsonArray(filter: AuditFilter): AsyncIterable<string> {
    let before = '[';
    for await (const batch of named(filter))
      for (const { view } of batch) {
        yield `${before}\n${JSON.stringify(view)}`;
        before = ',';
      }
    yield before === '[' ? '[]\n' : '\n]\n';
  }

  /** Throws RESOURCE_NOT_FOUND. */
  const entryOf = async (seq: number): Promise<AuditEntry> => {
    const entry = await auditTrail.entry(seq);
    if (entry !== null) return entry;
    throw new AppError('RESOURCE_NOT_FOUND', `The audit log has no entry ${seq}.`, {
      nextStep: 'GET /api/v1/events shows those that it has.',
    });
  };

  return {
    async openStream({ caller, connection: { reply } }) {
      requireRoom(live.streams, settings.streamsMax);
      let close = (): void => {};
      const stream = openEventStream(reply, { clock, onClose: () => close() });
      close = await live.open(caller, stream);
      if (reply.raw.destroyed) close(); // it went while its first events were collected
    },

    async createStreamTicket({ caller }) {
      requireRoom(live.streams, settings.streamsMax);
      const { text, hash } = createCredential('once', entropy);
      const { proof } = caller;
      const payload =
        proof.kind === 'certificate'
          ? { kind: proof.kind, subjects: proof.shown.subjects, fingerprint: proof.shown.fingerprint }
          : { kind: proof.kind, hash: proof.hash };
      await store.oneTimeTokens.issue({ purpose: 'stream', hash, lifeMs: TICKET_MS, payload });
      return { ticket: text, expiresAt: clock.now() + TICKET_MS };
    },

    openSocket: async () => {
      throw new AppError('REQUEST_INVALID', 'This is a WebSocket.', { nextStep: 'Ask for an upgrade.' });
    },

    async listEvents({ query }) {
      const before = query.cursor === undefined ? null : placeOf(query.cursor);
      const { entries, next } = await auditTrail.page(await filterOf(query), { before, limit: query.limit });
      const facts = await factsOf(entries);
      return {
        items: entries.map((entry) => entryView(entry, facts)),
        next: next === null ? null : String(next),
        total: null,
      };
    },

    exportEvents: async ({ query }) => ({ name: 'audit-log.csv', chunks: csv(await filterOf(query)) }),

    exportEventsAsJson: async ({ query }) => ({ name: 'audit-log.json', chunks: jsonArray(await filterOf(query)) }),

    async exportEvidence({ query }) {
      const bundle = await auditTrail.bundle(await filterOf(query));
      if (bundle !== null) return { name: 'evidence.zip', chunks: Readable.from([bundle]) };
      throw new AppError('REQUEST_INVALID', 'An evidence bundle has 10,000 entries at most, and these are more.', {
        nextStep: 'Ask for a shorter time ("from" and "to"), or for one action, user or outcome.',
      });
    },

    async erasePersonal({ body: { value }, store: aggregates }) {
      personal.forget(value); // first: what comes in between gets a row of its own
      const erased = await aggregates.personal.erase(value);
      personal.forget(value);
      return { erased };
    },

    async getLogCheckpoint() {
      const checkpoint = await auditTrail.checkpoint();
      if (checkpoint !== null) return checkpoint;
      throw new AppError('RESOURCE_NOT_FOUND', 'Nothing of the audit log is signed yet.', {
        nextStep: 'Ask again in a few seconds.',
      });
    },

    async getEvent({ params }) {
      const entry = await entryOf(params.seq);
      return entryView(entry, await factsOf([entry]));
    },

    async getEventProof({ params }) {
      const proof = await auditTrail.proof((await entryOf(params.seq)).seq);
      if (proof !== null) return proof;
      throw new AppError('RESOURCE_NOT_FOUND', `No checkpoint covers entry ${params.seq} yet.`, {
        nextStep: 'Ask again in a few seconds.',
      });
    },
  };
}

/** Takes over a WebSocket whose request was admitted: the ticket says for whom it is. */
export function socketOpener(context: Context): (socket: SocketLike, request: FastifyRequest) => void {
  const { ports, live, authenticator, settings } = context;

  const callerOf = async (request: FastifyRequest) => {
    requireSafe(request);
    const query = routes.openSocket.query?.safeParse(request.query);
    const credential = query?.success ? readCredential(query.data.ticket) : null;
    const found =
      credential?.kind === 'once' ? await ports.store.oneTimeTokens.consume('stream', credential.hash) : null;
    return found === null ? null : authenticator.byTicket(found.payload);
  };

  return (socket, request) => {
    let close = (): void => {};
    // Before anything is awaited: what happens to the socket meanwhile must not pass unseen.
    const stream = openSocketStream(socket, () => close());
    const open = async (): Promise<void> => {
      const caller = await callerOf(request);
      if (caller === null || !caller.maySomewhere('jobs:view') || live.streams >= settings.streamsMax)
        return socket.close(POLICY_VIOLATION, 'the ticket is not valid, or there are too many streams');
      close = await live.open(caller, stream);
    };
    open().catch((error: unknown) => {
      ports.log({ message: 'WebSocket not opened', requestId: request.id, error });
      socket.close(POLICY_VIOLATION, 'not opened');
    });
  };
}

function requireRoom(open: number, max: number): void {
  if (open < max) return;
  throw new AppError('SERVER_BUSY', `${max} streams are open, and that is as many as there may be.`, {
    nextStep: 'Close one, or raise the limit.',
  });
}

function placeOf(cursor: string): number {
  if (/^\d{1,15}$/.test(cursor)) return Number(cursor);
  throw new AppError('REQUEST_INVALID', 'The cursor is not one of this list.', { nextStep: 'Begin without one.' });
}

/** What stands beside the log. */
interface Personal {
  readonly names: ReadonlyMap<string, string>;
  /** By the commitments to them. */
  readonly values: ReadonlyMap<string, string>;
}

function commitmentsIn({ origin, pii = [] }: AuditEntry): string[] {
  const all = [origin?.addressCommitment, origin?.userAgentCommitment, ...pii.map(({ commitment }) => commitment)];
  return all.filter((each) => each !== undefined);
}

function entryView(entry: AuditEntry, { names, values }: Personal): z.input<typeof auditEntrySchema> {
  const { seq, ts, action, phase, outcome, actor, resource, reason, requestId, parentSeq, origin, pii } = entry;
  const valueOf = (commitment: string | undefined): string | null => values.get(commitment ?? '') ?? null;
  const account = resource.id === UNNAMED ? valueOf(pii?.find(({ field }) => field === 'account')?.commitment) : null;
  return {
    seq,
    at: ts,
    action,
    phase,
    outcome: outcome ?? null,
    actor: names.get(actor.id) ?? null,
    actorId: actor.id,
    actorKind: actor.kind,
    resource: `${resource.type} ${account ?? names.get(resource.id) ?? resource.id}`,
    reason: reason ?? null,
    requestId: requestId ?? null,
    parentSeq: parentSeq ?? null,
    address: valueOf(origin?.addressCommitment),
    userAgent: valueOf(origin?.userAgentCommitment),
  };
}

interface Named {
  readonly entry: AuditEntry;
  readonly view: z.input<typeof auditEntrySchema>;
}

function rowOf({ entry, view }: Named): string {
  const { seq, at, phase, outcome, action, actor, resource, reason, requestId, parentSeq, address, userAgent } = view;
  return csvRow([
    seq,
    new Date(at).toISOString(),
    phase,
    outcome,
    action,
    actor ?? entry.actor.id,
    resource,
    reason,
    requestId,
    parentSeq,
    address,
    userAgent,
  ]);
}
