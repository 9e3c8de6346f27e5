/**
 * The kinds of resources that a file can hold, and their schemas. What a schema returns has every default filled in.
 * A key whose capability is not built yet is refused by name (`notBuilt`), never ignored.
 */
import { z } from 'zod';
import { parseIpRange } from '#util/ip-address.ts';
import { resolveSecurity, securitySchema, serverSecuritySchema } from './cluster-security.ts';
import { must, notBuilt, refuse } from './complaints.ts';
import { compileCondition } from './record-condition.ts';
import { providerNames } from './providers.ts';
import { syncSchema } from './sync-settings.ts';
import { verificationClasses } from './verification.ts';
import { parseTargetTemplate, parseTopicPattern, topicNameProblem } from './topic-pattern.ts';

export const apiVersion = 'lockstep/v1';

/** `host:port`; an IPv6 address stands in brackets. */
const ADDRESS = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:/[\],]+)):(\d{1,5})$/;

const ipRanges = () =>
  z
    .array(
      z.string(must('an IP address or range such as 10.0.0.0/8')).check((context) => {
        if (parseIpRange(context.value) === null)
          refuse(context, `"${context.value}" is not an IP address or range such as 10.0.0.0/8 or fe80::/10`);
      }),
      must('a list of IP addresses and ranges'),
    )
    .default([]);

const RESOURCE_NAME = /^[a-z0-9](?:[a-z0-9.-]{0,98}[a-z0-9])?$/;

// Offsets and times are numbers throughout; JSON and YAML cannot carry more exactly.
const offset = () =>
  z.int(must('an offset, which is a whole number from 0')).min(0, must('an offset, which is a whole number from 0'));

const resourceName = () =>
  z
    .string(must('a name'))
    .regex(
      RESOURCE_NAME,
      must('a name of up to 100 small letters, digits, "-" and ".", with a letter or digit at both ends'),
    );

/** The keys of a Cluster's `spec`. */
export const clusterKeys = (security: typeof securitySchema = securitySchema) => ({
  bootstrap: z
    .array(
      z.string(must('an address "host:port"')).check((context) => {
        if (parseAddress(context.value) === null)
          refuse(context, `"${context.value}" is not an address "host:port" with a port from 1 to 65535`);
      }),
      must('a list of addresses "host:port"'),
    )
    .min(1, must('a list of at least one address "host:port"')),
  /** The cluster id that must answer; without it the id is pinned at first contact. */
  id: z.string(must('the cluster id, as text')).min(1, must('the cluster id, as text')).nullable().default(null),
  /** Who runs it: fills in what all of its clusters have in common (providers.ts). */
  provider: z.enum(providerNames, must(providerNames.join(', '))).default('plain'),
  security: security.prefault({}),
  /** Where its brokers may be: addresses that they advertise are their word, not the file's (docs/resources.md). */
  advertised: z
    .strictObject({ deny: ipRanges(), allow: ipRanges() }, must('a mapping with deny or allow'))
    .prefault({}),
});

const metadata = () =>
  z.strictObject(
    {
      name: resourceName(),
    },
    must('a mapping with a name'),
  );

const clusterOf = (stated: typeof securitySchema) =>
  z.strictObject({
    apiVersion: z.literal(apiVersion),
    kind: z.literal('Cluster'),
    metadata: metadata(),
    spec: z
      .strictObject(clusterKeys(stated), must('a mapping with bootstrap'))
      .transform(({ provider, security, ...spec }, context) => ({
        ...spec,
        security: resolveSecurity(security, provider, (key, message) => {
          context.issues.push({ code: 'custom', input: null, path: ['security', key], message });
        }),
      })),
  });

export const clusterSchema = clusterOf(securitySchema);

/** One that a server keeps; it may refer to secrets that the server keeps too. */
export const serverClusterSchema = clusterOf(serverSecuritySchema);

const pattern = () =>
  z.string(must('a topic name or a /regular expression/')).check((context) => {
    const parsed = parseTopicPattern(context.value);
    if ('problem' in parsed) refuse(context, parsed.problem);
  });

export const topicRule = z
  .strictObject(
    {
      match: pattern().optional(),
      to: z.string(must('a topic name')).optional(),
      exclude: pattern().optional(),
      condition: z
        .string(must('a condition in CEL, as text'))
        .check((context) => {
          const compiled = compileCondition(context.value);
          if ('problem' in compiled) refuse(context, compiled.problem);
        })
        .optional(),
      onError: z.enum(['stop', 'deliver'], must('stop or deliver')).optional(),
    },
    must('a rule: { match: name or /regular expression/, to: name } or { exclude: name or /regular expression/ }'),
  )
  .transform((rule, context): TopicRule => {
    const { condition, onError } = rule;
    if (onError !== undefined && condition === undefined)
      context.issues.push({
        code: 'custom',
        input: rule,
        path: ['onError'],
        message: 'says nothing without "condition"',
      });
    if (rule.match !== undefined && rule.exclude === undefined) {
      const from = parseTopicPattern(rule.match);
      const to = rule.to === undefined || 'problem' in from ? null : parseTargetTemplate(rule.to, from.value);
      if (to !== null && 'problem' in to)
        context.issues.push({ code: 'custom', input: rule, path: ['to'], message: to.problem });
      const filter = condition === undefined ? {} : { filter: { condition, onError: onError ?? 'stop' } };
      return { match: rule.match, to: rule.to ?? null, ...filter };
    }
    if (rule.exclude !== undefined && rule.match === undefined && rule.to === undefined && condition === undefined)
      return { exclude: rule.exclude };
    context.issues.push({
      code: 'custom',
      input: rule,
      message: 'must have either "match" (and perhaps "to") or "exclude", and not both',
    });
    return z.NEVER;
  });

/** One rule of a mirror. `exclude` rules hold wherever they stand; of the others the first that matches wins. */
export type TopicRule =
  | { readonly match: string; readonly to: string | null; readonly filter?: StatedCondition }
  | { readonly exclude: string };

/** Of the records of the topics of a rule those are copied for which it holds (record-condition.ts). */
export interface StatedCondition {
  readonly condition: string;
  /** What becomes of a record of which it says neither yes nor no. */
  readonly onError: 'stop' | 'deliver';
}

/**
 * Where a partition begins that has not been copied yet. `offsets` names source offsets by topic and partition;
 * what it does not name begins at the source's log start.
 */
export type MirrorStart =
  | { readonly at: 'earliest' }
  | { readonly at: 'latest' }
  | { readonly at: 'timestamp'; readonly timestampMs: number }
  | { readonly at: 'offsets'; readonly offsets: Readonly<Record<string, Readonly<Record<number, number>>>> };

const offsetsByTopic = z.record(
  z.string().check((context) => {
    const problem = topicNameProblem(context.value);
    if (problem !== null) refuse(context, `"${context.value}" is not a topic name: ${problem}`);
  }),
  z.record(
    z.string().regex(/^(?:0|[1-9]\d{0,8})$/, 'must be a partition number'),
    offset(),
    must('a mapping from partition to offset: { 0: 1500, 1: 1200 }'),
  ),
  must('a mapping from topic to partition to offset: { orders: { 0: 1500, 1: 1200 } }'),
);

const startForms = 'earliest, latest, { timestamp: 2026-11-01T00:00:00Z } or { offsets: { orders: { 0: 1500 } } }';

const start = z
  .union(
    [
      z.literal(['earliest', 'latest']).transform((at): MirrorStart => ({ at })),
      z
        .strictObject({
          timestamp: z
            .union([z.int().min(0), z.iso.datetime({ offset: true }).transform((text) => Date.parse(text))], {
              error: 'must be a time with its zone, as in 2026-11-01T00:00:00Z, or milliseconds since 1970',
            })
            .optional(),
          offsets: offsetsByTopic.optional(),
        })
        .transform((value, context): MirrorStart => {
          if (value.timestamp !== undefined && value.offsets === undefined)
            return { at: 'timestamp', timestampMs: value.timestamp };
          if (value.offsets !== undefined && value.timestamp === undefined)
            return { at: 'offsets', offsets: value.offsets };
          context.issues.push({ code: 'custom', input: value, message: `must be ${startForms}` });
          return z.NEVER;
        }),
    ],
    { error: `must be ${startForms}` },
  )
  .prefault('earliest');

/** The keys of a Mirror's `spec`. */
export const mirrorKeys = () => ({
  source: z.string(must('the name of a Cluster')),
  target: z.string(must('the name of a Cluster')),
  topics: z.array(topicRule, must('a list of rules')).check((context) => {
    if (!context.value.some((rule) => rule !== undefined && 'match' in rule))
      refuse(context, 'must have at least one rule with "match"');
  }),
  offsets: z.enum(['auto', 'identical', 'mapped'], must('auto, identical or mapped')).default('auto'),
  /** What becomes of a partition when another program writes to its target. */
  onMisalignment: z.enum(['stop', 'map'], must('stop or map')).default('stop'),
  /** One condition for all topics; that of one rule is its `condition`. */
  filters: notBuilt(),
  start,
  transactions: z.enum(['preserve', 'committed-only'], must('preserve or committed-only')).default('preserve'),
  timestamps: z.enum(['append', 'producer', 'target'], must('append, producer or target')).default('append'),
  sync: syncSchema,
  /** How often the source's topics and partitions are looked up. */
  refreshMs: z
    .int(must('a whole number of milliseconds from 100 to 3600000'))
    .min(100, must('at least 100 (milliseconds)'))
    .max(3_600_000, must('at most 3600000 (milliseconds, an hour)'))
    .default(5_000),
  /** Replication factor of topics that are created; null takes the source's, or as much as the target can hold. */
  targetReplicationFactor: z
    .int(must('a whole number from 1'))
    .min(1, must('a whole number from 1'))
    .max(32_767, must('at most 32767'))
    .nullable()
    .default(null),
});

/** What `offsets` and the rules say against each other; null where nothing. */
function offsetsProblem({
  offsets,
  topics,
}: {
  readonly offsets: string;
  readonly topics: readonly TopicRule[];
}): string | null {
  const rule = topics.findIndex((each) => 'match' in each && each.filter !== undefined);
  return offsets === 'identical' && rule >= 0
    ? `cannot be identical where topics[${rule}] has a condition: what it leaves out would be missing among the offsets, so the topic is mapped`
    : null;
}

export function checkOffsets(
  context: z.core.ParsePayload<{ readonly offsets: string; readonly topics: readonly TopicRule[] }>,
): void {
  const message = offsetsProblem(context.value);
  if (message !== null)
    context.issues.push({ code: 'custom', input: context.value.offsets, path: ['offsets'], message });
}

export const mirrorSchema = z.strictObject({
  apiVersion: z.literal(apiVersion),
  kind: z.literal('Mirror'),
  metadata: metadata(),
  spec: z.strictObject(mirrorKeys(), must('a mapping with source, target and topics')).check(checkOffsets),
});

/** A job that goes on proving the copies of a mirror, in a process of its own or beside it (docs/verify.md). */
export const verifySchema = z.strictObject({
  apiVersion: z.literal(apiVersion),
  kind: z.literal('Verify'),
  metadata: metadata(),
  spec: z.strictObject(
    {
      /** A Mirror of the files, by its name; or, where that is not among them, its name and the keys of its spec. */
      mirror: z.union(
        [
          z.string(),
          z
            .strictObject(
              { name: resourceName(), ...mirrorKeys() },
              must('the name of a Mirror, or a mapping with name, source, target and topics'),
            )
            .check(checkOffsets),
        ],
        must('the name of a Mirror, or a mapping with name, source, target and topics'),
      ),
      class: z.enum(verificationClasses, must(verificationClasses.join(', '))).default('content'),
      /** Source offsets that are compared at a time. */
      windowOffsets: z
        .int(must('a whole number from 1000'))
        .min(1_000, must('at least 1000'))
        .max(1_000_000_000, must('at most 1000000000'))
        .default(65_536),
      /** How often is looked for what came since. */
      everyMs: z
        .int(must('a whole number of milliseconds from 100 to 3600000'))
        .min(100, must('at least 100 (milliseconds)'))
        .max(3_600_000, must('at most 3600000 (milliseconds, an hour)'))
        .default(5_000),
      /** A directory in which both copies of what differs are kept. */
      evidence: z.string(must('a directory')).min(1, must('a directory')).nullable().default(null),
    },
    must('a mapping with mirror'),
  ),
});

export const schemas = { Cluster: clusterSchema, Mirror: mirrorSchema, Verify: verifySchema } as const;

export type Kind = keyof typeof schemas;
export type ClusterResource = z.output<typeof clusterSchema>;
export type MirrorResource = z.output<typeof mirrorSchema>;
type StatedVerify = z.output<typeof verifySchema>;

/** With the mirror that it names. */
export interface VerifyResource extends Omit<StatedVerify, 'spec'> {
  readonly spec: Omit<StatedVerify['spec'], 'mirror'> & { readonly mirror: MirrorResource };
}

/** What the files of one command hold. The clusters that a mirror names are among `clusters`. */
export interface Documents {
  readonly clusters: readonly ClusterResource[];
  readonly mirrors: readonly MirrorResource[];
  readonly verifications: readonly VerifyResource[];
}

/** Null where it names a mirror that is not among `mirrors`. */
export function resolveVerify(stated: StatedVerify, mirrors: readonly MirrorResource[]): VerifyResource | null {
  const named = stated.spec.mirror;
  if (typeof named === 'string') {
    const mirror = mirrors.find(({ metadata: { name } }) => name === named);
    return mirror ? { ...stated, spec: { ...stated.spec, mirror } } : null;
  }
  const { name, ...spec } = named;
  return { ...stated, spec: { ...stated.spec, mirror: { apiVersion, kind: 'Mirror', metadata: { name }, spec } } };
}

/** Host and port of `host:port` or `[IPv6]:port`; null when `text` is neither or the port is none. */
function parseAddress(text: string): { host: string; port: number } | null {
  const match = ADDRESS.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  return host === undefined || port < 1 || port > 65_535 ? null : { host, port };
}
