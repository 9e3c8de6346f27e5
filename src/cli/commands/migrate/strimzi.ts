import type { Verb } from '../../verb.ts';
import { readBytes } from '../../files.ts';
import { finishMigration, MIGRATE_ENDS, migrateOptions, type MigrateOptions } from './run.ts';

export const migrateStrimzi: Verb<MigrateOptions> = {
  summary: 'Strimzi: KafkaMirrorMaker2 resources',
  description: `Turns KafkaMirrorMaker2 resources of Strimzi (kafka.strimzi.io/v1 and v1beta2) into Clusters and Mirrors. What a Secret holds becomes a file below /etc/lockstep/secrets, where it can be mounted.\n\n${MIGRATE_ENDS}`,
  examples: [
    'lockstep migrate strimzi mirror-maker-2.yaml --out link.yaml',
    'kubectl get kafkamirrormaker2 mm2 -o yaml > mm2.yaml && lockstep migrate strimzi mm2.yaml',
  ],
  takesFiles: false,
  options: migrateOptions,
  async run(context, options, _, args) {
    const files = args.map((path) => ({
      path,
      text: Buffer.from(readBytes(context.host.disk, path)).toString('utf8'),
    }));
    return finishMigration(context, await context.app.migrate({ system: 'strimzi', files }), options);
  },
};
