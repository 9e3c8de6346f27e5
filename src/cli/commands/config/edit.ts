import { AppError } from '#contract/errors.ts';
import { optionKeys } from '#contract/options.ts';
import { nearest } from '#util/nearest.ts';
import { askOptions } from '../../ask.ts';
import {
  FILE_OPTION,
  type FileOption,
  optionNamed,
  readOrMake,
  shownOf,
  valueFrom,
  writeChanges,
} from '../../config-file.ts';
import { exitCodes } from '../../exit-codes.ts';
import { runRemotely, type RemoteOptions } from '../../remote/remote-verb.ts';
import { SERVER_OPTIONS } from '../../remote/server-choice.ts';
import type { Verb } from '../../verb.ts';
import { refuseWithoutEqual } from './without-equal.ts';
import { editOnServer, isOfServer, setOnServer } from './of-server.ts';

interface Options extends FileOption, RemoteOptions {}

export const editConfig: Verb<Options> = {
  summary: 'change options of one section',
  description:
    'Changes an option of a section of the configuration file. Without a name, or with that of a group, it asks for each of them, at a terminal. Where a server is set and no file is named, the options of the server are changed.\n\nSections: server, database, secrets, backups, logging, compliance, monitoring, client.',
  examples: [
    'lockstep config edit monitoring',
    'lockstep config edit server port 8443',
    'lockstep config edit server tls',
    'lockstep config edit monitoring loki.endpoint https://loki.example',
  ],
  options: { ...FILE_OPTION, ...SERVER_OPTIONS },
  takesFiles: false,
  async run(context, options, section, args) {
    const [, stated, written] = args;
    refuseWithoutEqual(section, stated);
    const all = optionKeys.filter((key) => key.startsWith(`${section}.`));
    if (all.length === 0) throw unknownSection(section);
    // A group of the section is asked for as the whole of it: "server tls". "manage" is what kaf-mirror calls that.
    const group = all.filter((key) => key.startsWith(`${section}.${stated}.`));
    const isAsked = written === undefined && (stated === 'manage' || group.length > 0);
    const [keys, name] = isAsked ? [group.length > 0 ? group : all, undefined] : [all, stated];
    const ofServer = isOfServer(context, options);
    if (name === undefined && ofServer) return runRemotely(context, options, (remote) => editOnServer(remote, keys));
    if (name === undefined) {
      const file = readOrMake(context, options);
      writeChanges(context, file, await askOptions(context, keys, shownOf(context, file)));
      return exitCodes.ok;
    }
    const key = optionNamed(`${section}.${name}`);
    if (written === undefined)
      throw new AppError('REQUEST_INVALID', `"config edit ${section} ${name}" needs a value`, {
        nextStep: `"lockstep config get ${key}" shows the one that holds.`,
      });
    const change = { key, value: valueFrom(key, written) };
    if (ofServer) return runRemotely(context, options, (remote) => setOnServer(remote, [change]));
    writeChanges(context, readOrMake(context, options), [change]);
    return exitCodes.ok;
  },
};

function unknownSection(section: string): AppError {
  const sections = [...new Set(optionKeys.map((key) => key.split('.')[0] ?? ''))];
  const near = nearest(section, sections);
  return new AppError(
    'REQUEST_INVALID',
    `there is no section "${section}"${near === null ? '' : `; did you mean "${near}"?`}`,
    { nextStep: `There are ${sections.join(', ')}.` },
  );
}
