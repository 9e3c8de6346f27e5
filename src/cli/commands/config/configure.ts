import type { OptionKey } from '#contract/options.ts';
import { askOptions } from '../../ask.ts';
import { FILE_OPTION, type FileOption, readOrMake, shownOf, writeChanges } from '../../config-file.ts';
import { exitCodes } from '../../exit-codes.ts';
import type { Verb } from '../../verb.ts';

/** What a first set-up needs; the rest has good defaults. */
const FIRST: readonly OptionKey[] = [
  'server.host',
  'server.port',
  'server.publicUrl',
  'server.tls.certFile',
  'server.tls.keyFile',
  'server.cors.allowedOrigins',
  'database.path',
  'database.url',
  'secrets.keyFile',
  'monitoring.listen',
  'monitoring.prometheus.pushGateway',
  'monitoring.splunk.hecEndpoint',
  'monitoring.splunk.hecToken',
  'monitoring.loki.endpoint',
  'compliance.schedule.enabled',
];

export const configure: Verb<FileOption> = {
  summary: 'ask for what a first set-up needs, and write the file',
  description:
    'Asks for what a first set-up needs, at a terminal, and writes the configuration file. What is copied stands in files of its own (docs/resources.md).',
  examples: ['lockstep config configure', 'lockstep config configure -f /etc/lockstep/lockstep.yaml'],
  options: FILE_OPTION,
  takesFiles: false,
  async run(context, options) {
    const file = readOrMake(context, options);
    writeChanges(context, file, await askOptions(context, FIRST, shownOf(context, file)));
    return exitCodes.ok;
  },
};
