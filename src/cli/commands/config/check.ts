import { AppError, errorCodes } from '#contract/errors.ts';
import { optionKeys } from '#contract/options.ts';
import { printableJson } from '#util/printable.ts';
import { FILE_OPTION, type FileOption, readConfigFile, resolveFile, shownValue } from '../../config-file.ts';
import { exitCodes } from '../../exit-codes.ts';
import { formatTable } from '../../format.ts';
import type { Verb } from '../../verb.ts';

interface Options extends FileOption {
  readonly json?: true;
}

export const checkConfig: Verb<Options> = {
  summary: 'validate the configuration, and show what holds',
  description:
    'Validates the configuration file and the environment, and shows each option with where its value comes from. Secrets are shown by the place where they stand.\n\nExit code 2 where something is wrong.',
  examples: ['lockstep config check', 'lockstep config check -f /etc/lockstep/lockstep.yaml --json'],
  options: FILE_OPTION,
  takesFiles: false,
  async run(context, options) {
    const { io } = context;
    try {
      const file = readConfigFile(context, options);
      const { values, sources } = resolveFile(context, file);
      if (options.json) {
        io.out(`${printableJson({ valid: true, file: file.isThere ? file.path : null, values, sources })}\n`);
        return exitCodes.ok;
      }
      const rows = optionKeys.map((key) => [key, shownValue(key, values[key]), sources[key]]);
      const columns = [{ title: 'OPTION' }, { title: 'VALUE' }, { title: 'FROM' }];
      io.out(`${io.style('green', 'valid')}: ${file.isThere ? file.path : 'no file'} and the environment\n\n`);
      io.out(`${formatTable(columns, rows).join('\n')}\n`);
      return exitCodes.ok;
    } catch (error) {
      if (!options.json || !(error instanceof AppError) || error.code !== 'CONFIG_INVALID') throw error;
      const problems = error.details['problems'] ?? [error.message];
      io.out(`${printableJson({ valid: false, code: error.code, problems })}\n`);
      return errorCodes[error.code].exit;
    }
  },
};
