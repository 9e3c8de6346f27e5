import { optionKeys, rowOf } from '#contract/options.ts';
import { printableJson } from '#util/printable.ts';
import {
  FILE_OPTION,
  type FileOption,
  optionNamed,
  readConfigFile,
  resolveFile,
  shownValue,
} from '../../config-file.ts';
import { exitCodes } from '../../exit-codes.ts';
import { formatTable } from '../../format.ts';
import { runRemotely, type RemoteOptions } from '../../remote/remote-verb.ts';
import { SERVER_OPTIONS } from '../../remote/server-choice.ts';
import type { Verb } from '../../verb.ts';
import { isOfServer, optionsOfServer } from './of-server.ts';

interface Options extends FileOption, RemoteOptions {}

export const getConfig: Verb<Options> = {
  summary: 'show what holds: all of it, or one option',
  description:
    'Shows what holds of the configuration file, the environment and the defaults: all of it, or one option. Where a server is set and no file is named, what holds there.',
  examples: ['lockstep config get', 'lockstep config get monitoring.listen', 'lockstep config get --json'],
  options: { ...FILE_OPTION, ...SERVER_OPTIONS },
  takesFiles: false,
  async run(context, options, name) {
    const { io } = context;
    if (isOfServer(context, options)) return runRemotely(context, options, (remote) => optionsOfServer(remote, name));
    const { values, sources } = resolveFile(context, readConfigFile(context, options));
    if (name === '') {
      if (options.json) io.out(`${printableJson(values)}\n`);
      else {
        const rows = optionKeys.map((key) => [key, shownValue(key, values[key])]);
        io.out(`${formatTable([{ title: 'OPTION' }, { title: 'VALUE' }], rows).join('\n')}\n`);
      }
      return exitCodes.ok;
    }
    const key = optionNamed(name);
    const value = values[key];
    const held = value === null ? null : rowOf(key).type.toFile(value);
    io.out(
      options.json ? `${printableJson({ key, value: held, from: sources[key] })}\n` : `${shownValue(key, value)}\n`,
    );
    return exitCodes.ok;
  },
};
