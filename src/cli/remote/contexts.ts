/**
 * The servers that commands of this user talk to, and with what they sign in there: one file that nobody else may read. What
 * is in it is shown by `lockstep context list`, but for the credentials.
 */
import { z } from 'zod';
import { AppError } from '#contract/errors.ts';
import { nearest } from '#util/nearest.ts';
import type { Context } from '../context.ts';
import { readText } from '../files.ts';

const contextSchema = z.strictObject({
  server: z.string(),
  caFile: z.string().nullable(),
  certFile: z.string().nullable(),
  keyFile: z.string().nullable(),
  username: z.string().nullable(),
  credential: z
    .strictObject({
      /** A session of `lockstep login`, which `logout` ends, or an API token, which outlives it. */
      kind: z.enum(['session', 'token']),
      token: z.string(),
      expiresAt: z.int().nullable(),
    })
    .nullable(),
});

const fileSchema = z.strictObject({
  version: z.literal(1),
  current: z.string().nullable(),
  contexts: z.record(z.string(), contextSchema),
});

export type ServerContext = z.infer<typeof contextSchema>;

export type Contexts = Omit<z.infer<typeof fileSchema>, 'version'>;

const NAME = /^[a-z0-9](?:[a-z0-9.-]{0,98}[a-z0-9])?$/;

/** Throws AppError CONFIG_INVALID where it cannot be used as it is, or others may read it. */
export function readContexts({ host }: Pick<Context, 'host'>): Contexts {
  const path = placeOf(host.environment);
  const facts = path === null ? null : host.disk.look(path);
  if (path === null || facts === null) return { current: null, contexts: {} };
  if ((facts.permissions & 0o077) !== 0)
    throw new AppError('CONFIG_INVALID', `${path} holds credentials, and others than its owner may use it`, {
      nextStep: `Take their rights away: chmod 600 ${path}. Who may have read it meanwhile? "lockstep tokens reset" makes what is in it worthless.`,
    });
  const parsed = fileSchema.safeParse(jsonOf(readText(host.disk, path)));
  if (!parsed.success)
    throw new AppError('CONFIG_INVALID', `${path} is not what "lockstep context" writes`, {
      nextStep: 'Take it away, then add the servers again with "lockstep context add".',
    });
  const { current, contexts } = parsed.data;
  return { current, contexts };
}

/** A crash leaves the file as it was, or as it shall be. */
export function writeContexts({ host }: Pick<Context, 'host'>, contexts: Contexts): void {
  const { disk } = host;
  const path = placeOf(host.environment);
  if (path === null)
    throw new AppError('CONFIG_INVALID', 'there is no place for contexts: neither XDG_CONFIG_HOME nor HOME is set', {
      nextStep: 'Set one of them; or name the server with LOCKSTEP_SERVER and the token with LOCKSTEP_TOKEN.',
    });
  disk.makeDirectory(path.replace(/\/[^/]*$/, ''));
  const aside = `${path}.${host.nonce()}`;
  disk.createSecret(aside, `${JSON.stringify({ version: 1, ...contexts }, null, 2)}\n`);
  disk.sync(aside);
  disk.rename(aside, path);
}

/** Reads it again first: another command may have changed another context meanwhile. */
export function changeContext(
  context: Pick<Context, 'host'>,
  name: string,
  change: (before: ServerContext) => ServerContext,
): void {
  const { contexts, ...rest } = readContexts(context);
  const before = contexts[name];
  // Removed meanwhile: whoever did that does not want it back.
  if (before !== undefined) writeContexts(context, { ...rest, contexts: { ...contexts, [name]: change(before) } });
}

/** Throws AppError RESOURCE_NOT_FOUND with the nearest name. */
export function contextNamed({ contexts }: Contexts, name: string): ServerContext {
  const found = Object.hasOwn(contexts, name) ? contexts[name] : undefined;
  if (found !== undefined) return found;
  const near = nearest(name, Object.keys(contexts));
  throw new AppError(
    'RESOURCE_NOT_FOUND',
    `there is no context "${name}"${near === null ? '' : `; did you mean "${near}"?`}`,
    { nextStep: '"lockstep context list" shows those that there are; "lockstep context add NAME URL" adds one.' },
  );
}

export function checkContextName(name: string): void {
  if (NAME.test(name)) return;
  throw new AppError('REQUEST_INVALID', `"${name}" is no name for a context`, {
    nextStep: 'Write up to 100 small letters, digits, "-" and ".", with a letter or digit at both ends.',
  });
}

/** Null where nothing says where people's files are: a service has no contexts. */
function placeOf(environment: Context['host']['environment']): string | null {
  const folder = environment['XDG_CONFIG_HOME'] || (environment['HOME'] && `${environment['HOME']}/.config`);
  return folder ? `${folder}/lockstep/contexts.json` : null;
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null; // what is no JSON does not fit the schema either, which says the same
  }
}
