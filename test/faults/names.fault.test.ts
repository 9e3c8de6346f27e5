/** Ids of groups and names of users take every character: they follow as they are, whatever stands in them. */
import { expect, onTestFinished } from 'vitest';
import { createTopics, runAdmin, type Acl } from '#testing/topic-admin.ts';
import { writeStreams } from '#testing/workload.ts';
import { grant, leastRights, leastRightsLink, leastRightsUsers } from '../acceptance/least-rights.ts';
import { writeLink, type MirrorSpec } from '../acceptance/link-file.ts';
import { LockstepProcess, told } from '../acceptance/lockstep-process.ts';
import { fault } from './fault.ts';
import { GroupScene } from './group-scene.ts';
import { clusterPair } from './mirror-under-test.ts';

const pair = clusterPair({ source: { secure: leastRightsUsers }, target: { secure: leastRightsUsers } });

/** Each in the middle of a name; some have a meaning for shells, paths, patterns, JSON, principals or quotas. */
const CHARACTERS = Array.from(' !"#$%&\'()*+,-./:;<=>?@[\\]^_`{|}~äŁЖ字😀\u00a0');
const ODD = [
  'a/b/0',
  '/a/',
  'User:a',
  'a,b;c',
  '%2F',
  '%',
  '\\',
  "it's",
  '"',
  ' a ',
  '__lockstep.state',
  'x'.repeat(249),
];

fault(
  {
    id: 'names-of-all-characters',
    title: 'ids of groups and names of users with every kind of character: places and ACLs follow, also after kill -9',
    timeoutMs: 300_000,
  },
  async (run) => {
    const clusters = await pair();
    const { source, target } = clusters;
    const scene = await GroupScene.open(clusters);
    const topic = 'named';
    await createTopics(source.bootstrap, [{ name: topic, partitions: 2 }]);
    await writeStreams(source.bootstrap, [
      { name: topic, topic, partitions: [0, 1], partitionRuns: 10, records: 1_000 },
    ]);
    const names = [...CHARACTERS.map((character) => `of ${character} name`), ...ODD];
    const places = (round: number) =>
      names.map((name, i) => [`id ${name}`, { [`${topic}/0`]: 1 + i + round, [`${topic}/1`]: 200 - i }] as const);
    const commit = async (round: number): Promise<void> => {
      for (const [id, offsets] of places(round)) await scene.commit('source', id, offsets);
    };
    const acls = names.map((name): Acl => {
      const shared = { user: name, pattern: 'literal', permission: 'allow', host: '*' } as const;
      return { ...shared, operation: 'read', resource: 'group', name: `id ${name}` };
    });
    const ofTopic = acls.map((acl): Acl => ({ ...acl, resource: 'topic', name: topic }));
    const wanted = [...acls, ...ofTopic];
    await runAdmin(source.bootstrap, [{ addAcls: wanted }]);
    const spec: MirrorSpec = {
      topics: [{ match: topic }],
      refreshMs: 500,
      sync: { groups: { match: ['/id .+/'], everyMs: 500 }, acls: true },
    };
    await grant(clusters, leastRights('names', spec));
    const file = writeLink(leastRightsLink(clusters, { names: spec }));
    const start = (): LockstepProcess => {
      const mirror = LockstepProcess.run(file);
      onTestFinished(() => mirror.kill());
      return mirror;
    };
    const follows = async (mirror: LockstepProcess, round: number): Promise<void> => {
      for (const [id, offsets] of places(round)) await scene.untilAt(mirror, id, offsets);
      for (const [id, offsets] of places(round)) expect(await scene.places('target', id), id).toEqual(offsets);
    };
    const held = async (): Promise<Acl[]> => {
      const [answer] = (await runAdmin(target.bootstrap, [{ describeAcls: 'all' }])) as [Acl[]];
      return answer.filter(({ user }) => names.includes(user));
    };
    const sorted = (some: readonly Acl[]): string[] =>
      some.map(({ user, operation, resource, name }) => JSON.stringify([user, operation, resource, name])).toSorted();

    await commit(0);
    const first = start();
    await follows(first, 0);
    await first.until(async () => (await held()).length === wanted.length, 'every ACL is there', 90_000);
    expect(sorted(await held())).toEqual(sorted(wanted));
    expect(first.incidents, first.describe()).toEqual([]);
    await first.kill();

    await commit(100); // forwards
    await runAdmin(source.bootstrap, [{ removeAcls: acls }]);
    const second = start();
    await follows(second, 100);
    await commit(50); // and backwards
    await follows(second, 50);
    await second.until(async () => (await held()).length === ofTopic.length, 'taken away as at the source', 90_000);
    expect(sorted(await held())).toEqual(sorted(ofTopic));
    const ended = await second.interrupt();
    expect([ended.code, ended.incidents], told(ended)).toEqual([130, []]);
    run.tookEffect(`${names.length} names with ${CHARACTERS.length} characters, each of a group and of a user`);
    run.outcome(
      `${names.length} groups at the exact place after moves both ways, ${wanted.length} ACLs copied and ${acls.length} taken away again`,
    );
  },
);
