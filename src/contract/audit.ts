/**
 * An entry of the audit log: who did, or tried to do, what to which resource, and how it ended.
 *
 * No field takes free text, a name of a person, an address or a value of a setting: what could be personal or secret is
 * in an entry only as a digest or as a salted commitment. So nothing has to be taken out of a log that nothing can be
 * taken out of.
 */
import { z } from 'zod';

/** `intent` stands before an effect, `outcome` after it; an `event` has happened already, or is a refusal. */
export const auditPhases = ['intent', 'outcome', 'event'] as const;
export type AuditPhase = (typeof auditPhases)[number];

/** `unknown`: a call without an answer, or a process that died between intent and outcome. */
export const auditOutcomes = ['succeeded', 'failed', 'denied', 'unknown'] as const;
export type AuditOutcome = (typeof auditOutcomes)[number];

const actorKinds = ['user', 'service', 'system', 'anonymous'] as const;
const authnMethods = ['none', 'password', 'oidc', 'token', 'certificate', 'setup-token', 'local'] as const;

const digest = z.string().regex(/^[0-9a-f]{64}$/, 'must be a SHA-256 in hexadecimal');
const code = z.string().regex(/^[A-Z][A-Z0-9_]{1,63}$/, 'must be a code, as AUTH_INVALID');
const slug = z.string().regex(/^[a-z][a-z0-9-]{0,63}$/, 'must be lower-case words joined by hyphens');
const identifier = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._:@/-]{0,127}$/, 'must be an identifier of at most 128 characters');
const sequence = z.number().int().nonnegative();
/** Of a verifier key of c2sp.org/signed-note. */
const verifierKey = z.string().regex(/^[^\s+]{1,256}\+[0-9a-f]{8}\+[A-Za-z0-9+/=]{44,64}$/, 'must be a verifier key');
const signature = z.string().regex(/^[A-Za-z0-9+/]{86}==$/, 'must be an Ed25519 signature in base64');

const actor = z.strictObject({
  /** A random id: names and addresses stand beside the log. `anonymous` where nobody was authenticated. */
  id: identifier,
  kind: z.enum(actorKinds),
  authn: z.enum(authnMethods),
  /** SHA-256 of the session's own random id. */
  sessionHash: digest.optional(),
});

const origin = z.strictObject({ addressCommitment: digest.optional(), userAgentCommitment: digest.optional() });

const resource = z.strictObject({
  type: slug,
  /** As the resource is called: names of topics, jobs and clusters come from Kafka and from files, any character may be in them. */
  id: z
    .string()
    .min(1)
    .max(256)
    .refine((text) => text.isWellFormed(), 'must be well-formed text'),
  cluster: z.string().min(1).max(256).optional(),
});

const evidence = z.strictObject({ kind: slug, digest: digest.optional(), size: sequence.optional() });

/** What a caller says; the log adds version, sequence, time and phase. */
const eventFields = {
  actor,
  /** `noun.verb` */
  action: z.string().regex(/^[a-z][a-z0-9-]{0,31}(\.[a-z][a-z0-9-]{0,31}){1,3}$/, 'must be noun.verb'),
  resource,
  origin: origin.optional(),
  /** An error code, never a sentence. */
  reason: code.optional(),
  requestId: identifier.optional(),
  /** SHA-256 of the canonical JSON of what was and what is. Of secrets: salted commitments. */
  change: z.strictObject({ beforeDigest: digest.optional(), afterDigest: digest.optional() }).optional(),
  approval: z.strictObject({ planDigest: digest, approvers: z.array(identifier).max(16) }).optional(),
  evidence: z.array(evidence).max(16).optional(),
  /** Commitments to personal data, which stands beside the log and can be destroyed there, with its salt. */
  pii: z
    .array(z.strictObject({ field: slug, commitment: digest }))
    .max(16)
    .optional(),
  /** Of `log.key-rotate`: each key signs both keys. */
  rotation: z
    .strictObject({ from: verifierKey, to: verifierKey, fromSignature: signature, toSignature: signature })
    .optional(),
};

export const auditEventSchema = z.strictObject(eventFields);
export type AuditEvent = z.infer<typeof auditEventSchema>;

export const auditEntrySchema = z
  .strictObject({
    ...eventFields,
    v: z.literal(1),
    /** Its place in the log, from 0: the index of its leaf. */
    seq: sequence,
    /** Milliseconds since the epoch, never below those of the entry before. */
    ts: sequence,
    /** `held`: the wall clock had gone back behind the entry before, whose time this one has. */
    clock: z.enum(['wall', 'held']),
    phase: z.enum(auditPhases),
    outcome: z.enum(auditOutcomes).optional(),
    /** Of an outcome: the intent that it ends. */
    parentSeq: sequence.optional(),
  })
  .refine(
    ({ phase, outcome, parentSeq }) =>
      (phase === 'intent') === (outcome === undefined) && (phase === 'outcome') === (parentSeq !== undefined),
    {
      message: 'an intent has no outcome, an outcome names its intent, an event has an outcome and no intent',
    },
  );
export type AuditEntry = z.infer<typeof auditEntrySchema>;

/** Actions of the log itself. */
export const logActions = {
  /** A process has opened the log. */
  start: 'log.start',
  /** It has closed it in good order. */
  stop: 'log.stop',
  /** Nothing else was written for a while, and the log was there to write it. */
  heartbeat: 'log.heartbeat',
  /** Wall clock and monotonic clock went different ways. */
  clockStep: 'log.clock-step',
  keyRotate: 'log.key-rotate',
  /** Behind the first start of a log that goes on after a restore that had shortened the one before it. */
  adoptRestore: 'log.adopt-restore',
  /** Events of jobs were lost because the log could not take them; `size` of the evidence says how many. */
  spoolOverflow: 'log.spool-overflow',
} as const;

/** Without a heartbeat for so long, the silence is a finding. */
export const HEARTBEAT_MS = 60_000;
export const SILENCE_MS = 150_000;
