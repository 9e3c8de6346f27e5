/** The options of a server, while it runs. */
import { parse } from 'yaml';
import { AppError } from '#contract/errors.ts';
import type { OptionKey } from '#contract/options.ts';
import { askOptions } from '../../ask.ts';
import { optionNamed, type Change, type FileOption } from '../../config-file.ts';
import type { Context } from '../../context.ts';
import { readText } from '../../files.ts';
import { formatFacts, formatMoment, formatRows, UNKNOWN } from '../../format.ts';
import { CONFIG_VARIABLE } from '../../options.ts';
import type { CallOf, ResultOf } from '../../remote/api-client.ts';
import { confirm, YES_OPTION, type ConfirmOptions } from '../../remote/pick.ts';
import { remoteVerb, type Remote, type RemoteOptions, type Shown } from '../../remote/remote-verb.ts';
import { chooseServer } from '../../remote/server-choice.ts';
import type { Verb } from '../../verb.ts';
import { saveFile } from '../save-file.ts';

type Option = ResultOf<'getOption'>;
type Configuration = ResultOf<'getConfiguration'>;

/** A file that is named goes first: what is set for all commands of a shell is further away. */
export function isOfServer(context: Context, options: FileOption & RemoteOptions): boolean {
  if (options.server !== undefined || options.context !== undefined) return options.file === undefined;
  if (options.file !== undefined || context.host.environment[CONFIG_VARIABLE]) return false;
  return chooseServer(context, options) !== null;
}

export async function optionsOfServer({ api }: Remote, name: string): Promise<Shown> {
  if (name === '') {
    const configuration = await api.call('getConfiguration', {});
    return { json: configuration, lines: configurationLines(configuration) };
  }
  const option = await api.call('getOption', { params: { key: optionNamed(name) } });
  return { json: option, lines: optionLines(option) };
}

function configurationLines({ options, updatedAt, updatedBy }: Configuration): string[] {
  const rows = options.map((each) => [each.key, shown(each.value), each.source, whenOf(each)]);
  return [
    ...formatRows(['OPTION', 'VALUE', 'FROM', 'A CHANGE HOLDS'], rows, 'options'),
    updatedAt === null
      ? 'nothing was set over the API'
      : `set last ${formatMoment(updatedAt)} by ${updatedBy ?? UNKNOWN}`,
  ];
}

function optionLines(option: Option): string[] {
  return formatFacts([
    ['option', option.key],
    ['value', shown(option.value)],
    ['from', option.source],
    ['takes', option.form],
    ['a change holds', whenOf(option)],
    ['is', option.description],
  ]);
}

function whenOf({ isHot, isSettable, isWaiting }: Option): string {
  if (isWaiting) return 'after a restart, which it waits for';
  if (!isSettable) return 'in the file only, after a restart';
  return isHot ? 'at once' : 'after a restart';
}

function shown(value: unknown): string {
  if (value === null) return UNKNOWN;
  return typeof value === 'string' ? value : JSON.stringify(value);
}

type Value = CallOf<'setOption'>['body']['value'];

export async function setOnServer({ api }: Remote, changes: readonly Change[]): Promise<Shown> {
  const options: Option[] = [];
  for (const { key, value } of changes)
    options.push(
      value === undefined
        ? await api.call('resetOption', { params: { key } })
        : await api.call('setOption', { params: { key }, body: { value: value as Value } }),
    );
  return {
    json: { options },
    lines:
      options.length === 0
        ? ['nothing has changed']
        : options.map((each) => `${each.key}: ${shown(each.value)}; holds ${whenOf(each)}`),
  };
}

export async function editOnServer(remote: Remote, keys: readonly OptionKey[]): Promise<Shown> {
  const { options } = await remote.api.call('getConfiguration', {});
  const settable = keys.filter((key) => options.find((each) => each.key === key)?.isSettable);
  const current = (key: OptionKey): string => shown(options.find((each) => each.key === key)?.value ?? null);
  return setOnServer(remote, await askOptions(remote, settable, current));
}

type Document = CallOf<'replaceConfiguration'>['body'];

/** The server says what in it is wrong. */
function documentOf({ host }: Remote, path: string): Document {
  const text = readText(host.disk, path);
  try {
    const value: unknown = parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Document;
  } catch (cause) {
    const [line] = cause instanceof Error ? cause.message.split('\n') : [];
    throw new AppError('CONFIG_INVALID', `${path}: ${line ?? 'malformed YAML'}`, { nextStep: 'Correct the file.' });
  }
  throw new AppError('CONFIG_INVALID', `${path} holds no options`, {
    nextStep: 'Write them as docs/configuration.md shows, or take what "lockstep config export" gives.',
  });
}

export const saveConfig: Verb<RemoteOptions & ConfirmOptions> = remoteVerb({
  summary: 'replace all that is set on the server by what a file says',
  description:
    'Replaces all that was set over the API by what a file says: what is not in it comes from the file and the environment of the server, and from defaults, again. All of it is checked before any of it holds.',
  examples: ['lockstep config save lockstep.yaml --yes'],
  options: YES_OPTION,
  async run(remote, options, [path = '']) {
    const body = documentOf(remote, path);
    const { version } = await remote.api.call('getConfiguration', {});
    await confirm(remote.io, options, 'Replace all that is set on the server?');
    const configuration = await remote.api.call('replaceConfiguration', { body, ifVersion: version });
    return { json: configuration, lines: configurationLines(configuration) };
  },
});

export const importConfig: Verb<RemoteOptions> = remoteVerb({
  summary: 'set on the server what a file says, and leave the rest',
  examples: ['lockstep config import changes.yaml'],
  async run(remote, _, [path = '']) {
    const configuration = await remote.api.call('importConfiguration', { body: documentOf(remote, path) });
    return { json: configuration, lines: configurationLines(configuration) };
  },
});

export const exportConfig: Verb<RemoteOptions & { readonly out?: string }> = remoteVerb({
  summary: 'write what holds on the server and is no default, as a file to start one with',
  examples: ['lockstep config export --out lockstep.yaml'],
  options: { '--out <file>': 'a new file; without it standard output' },
  async run(remote, { out }) {
    return saveFile(remote, await remote.api.open('exportConfiguration', {}, 'application/yaml'), out);
  },
});
