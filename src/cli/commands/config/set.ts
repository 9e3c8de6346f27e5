import { AppError } from '#contract/errors.ts';
import { FILE_OPTION, type FileOption, optionNamed, readOrMake, valueFrom, writeChanges } from '../../config-file.ts';
import { exitCodes } from '../../exit-codes.ts';
import { runRemotely, type RemoteOptions } from '../../remote/remote-verb.ts';
import { SERVER_OPTIONS } from '../../remote/server-choice.ts';
import type { Verb } from '../../verb.ts';
import { isOfServer, setOnServer } from './of-server.ts';

interface Options extends FileOption, RemoteOptions {
  readonly default?: true;
}

export const setConfig: Verb<Options> = {
  summary: 'change one option in the file',
  description:
    'Changes one option in the configuration file; comments and order of the rest stay. A change that would not be valid is not written. Where a server is set and no file is named, the option is set there.\n\nLists are written with commas, secrets as the place where they stand: env:NAME or file:PATH.',
  examples: [
    'lockstep config set monitoring.listen 9464',
    'lockstep config set monitoring.splunk.hecToken file:/run/secrets/hec',
    'lockstep config set server.port --default',
  ],
  options: { ...FILE_OPTION, ...SERVER_OPTIONS, '--default': 'take it out of the file, or back on the server' },
  takesFiles: false,
  async run(context, options, name, args) {
    const key = optionNamed(name);
    const [, written, ...more] = args;
    if (options.default ? written !== undefined : written === undefined || more.length > 0)
      throw new AppError('REQUEST_INVALID', `"config set ${key}" needs one value, or --default`, {
        nextStep: 'A value with spaces goes into quotes.',
      });
    const value = written === undefined ? undefined : valueFrom(key, written);
    if (isOfServer(context, options))
      return runRemotely(context, options, (remote) => setOnServer(remote, [{ key, value }]));
    writeChanges(context, readOrMake(context, options), [{ key, value }]);
    return exitCodes.ok;
  },
};
