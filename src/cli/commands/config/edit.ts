import { AppError } from '#contract/errors.ts';
import { optionKeys } from '#contract/options.ts';
import { nearest } from '#util/nearest.ts';
import { askOptions } from '../../ask.ts';
import { FILE_OPTION, type FileOption, optionNamed, readOrMake, valueFrom, writeChanges } from '../../config-file.ts';
import { exitCodes } from '../../exit-codes.ts';
import type { Verb } from '../../verb.ts';

export const editConfig: Verb<FileOption> = {
  summary: 'change options of one section',
  description:
    'Changes an option of a section of the configuration file. Without a name it asks for each of the section, at a terminal.\n\nSections: server, database, secrets, logging, compliance, monitoring, client.',
  examples: [
    'lockstep config edit monitoring',
    'lockstep config edit server port 8443',
    'lockstep config edit monitoring loki.endpoint https://loki.example',
  ],
  options: FILE_OPTION,
  takesFiles: false,
  async run(context, options, section, args) {
    const keys = optionKeys.filter((key) => key.startsWith(`${section}.`));
    if (keys.length === 0) throw unknownSection(section);
    const file = readOrMake(context, options);
    const [, name, written] = args;
    if (name === undefined) {
      writeChanges(context, file, await askOptions(context, file, keys));
      return exitCodes.ok;
    }
    const key = optionNamed(`${section}.${name}`);
    if (written === undefined)
      throw new AppError('REQUEST_INVALID', `"config edit ${section} ${name}" needs a value`, {
        nextStep: `"lockstep config get ${key}" shows the one that holds.`,
      });
    writeChanges(context, file, [{ key, value: valueFrom(key, written) }]);
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
