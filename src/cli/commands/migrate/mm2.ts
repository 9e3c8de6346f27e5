import type { Verb } from '../../verb.ts';
import { readBytes } from '../../files.ts';
import { finishMigration, MIGRATE_ENDS, migrateOptions, type MigrateOptions } from './run.ts';

export const migrateMm2: Verb<MigrateOptions> = {
  summary: 'MirrorMaker 2: its properties file, or its connectors',
  description: `Turns the files of MirrorMaker 2 into a Cluster for each alias and a Mirror for each pair that is enabled: the properties file of connect-mirror-maker.sh, or the configurations of its connectors as Kafka Connect and Amazon MSK Connect are given them (properties or JSON, several files).\n\n${MIGRATE_ENDS}`,
  examples: [
    'lockstep migrate mm2 mm2.properties > link.yaml',
    'lockstep migrate mm2 mm2.properties --out link.yaml',
    'lockstep migrate mm2 source.json checkpoint.json heartbeat.json --out link.yaml',
    'lockstep migrate mm2 mm2.properties --json | jq \'.settings[] | select(.fate != "exact")\'',
  ],
  takesFiles: false,
  options: migrateOptions,
  async run(context, options, _, args) {
    const files = args.map((path) => ({ path, bytes: readBytes(context.host.disk, path) }));
    return finishMigration(context, await context.app.migrate({ system: 'mm2', files }), options);
  },
};
