/** `sync` of a mirror: what is brought to the target around the records, and how. null means not at all. */
import { z } from 'zod';
import { must, refuse } from './complaints.ts';
import { groupSyncSchema } from './group-settings.ts';
import { parseNamePattern } from './name-pattern.ts';

const patterns = () =>
  z.array(
    z.string(must('a name or a /regular expression/')).check((context) => {
      const parsed = parseNamePattern(context.value);
      if ('problem' in parsed) refuse(context, parsed.problem);
    }),
    must('a list of names and /regular expressions/'),
  );

const flag = (byDefault: boolean) => z.boolean(must('true or false')).default(byDefault);

/**
 * Settings that are each cluster's own unless a file says otherwise. Of MirrorMaker 2's list (DefaultConfigPropertyFilter)
 * the rest is not a matter of choice here: throttled replicas name brokers, timestamps are what a copy needs, and
 * min.insync.replicas follows the source but is never lowered.
 */
const EXCLUDED_BY_DEFAULT = ['unclean.leader.election.enable'];

const configs = z.strictObject({
  exclude: patterns().default(EXCLUDED_BY_DEFAULT),
  /** Where a setting comes from that the source topic does not set itself. */
  defaultsFrom: z.enum(['target', 'source'], must('target or source')).default('target'),
  /** Retention may be shortened and min.insync.replicas lowered, as at the source. */
  allowWeaker: flag(false),
});

const acls = z.strictObject({
  /** Principals whose ALLOW rules are copied. DENY rules always are. */
  match: patterns().nullable().default(null),
  exclude: patterns().default([]),
  /** ALLOW rules that do more than read: left out, `ALL` as what it allows to read; left out; or copied as they are. */
  write: z.enum(['read', 'drop', 'keep'], must('read, drop or keep')).default('read'),
  /** As whom the mirror is seen by the target's authorizer, where the security settings do not tell. */
  self: z
    .string(must('a principal such as User:mirror, or super-user'))
    .regex(/^(?:super-user|[^:\s]+:.+)$/, must('a principal such as User:mirror, or super-user'))
    .nullable()
    .default(null),
});

const quotas = z.strictObject({
  /** Users, client ids and addresses; a default is `<default>`. */
  match: patterns().nullable().default(null),
  exclude: patterns().default([]),
  /** Whether a quota that somebody else has set on the target is replaced. */
  overwrite: flag(false),
});

/** `true`, `false` or a mapping; the mapping is the last option, which documents.ts reports the problems of. */
function choice<T extends z.ZodObject>(mapping: T, { byDefault, keys }: { byDefault: boolean; keys: string }) {
  const defaults = mapping.parse({});
  return z
    .union([z.boolean().transform((isWanted) => (isWanted ? defaults : null)), mapping], {
      error: `must be true, false or a mapping with ${keys}`,
    })
    .prefault(byDefault);
}

export const syncSchema = z
  .strictObject(
    {
      configs: choice(configs, { byDefault: true, keys: 'exclude, defaultsFrom or allowWeaker' }),
      partitions: flag(true),
      acls: choice(acls, { byDefault: false, keys: 'match, exclude, write or self' }),
      quotas: choice(quotas, { byDefault: false, keys: 'match, exclude or overwrite' }),
      /** Whether users with SCRAM credentials that the target lacks are listed; their passwords cannot be read. */
      users: flag(false),
      groups: groupSyncSchema,
    },
    must('a mapping'),
  )
  .prefault({});

export type ConfigSync = z.output<typeof configs>;
export type AclSync = z.output<typeof acls>;
export type QuotaSync = z.output<typeof quotas>;
