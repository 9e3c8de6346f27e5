/** Topics as the clusters of a server say them now. */
import { AppError } from '#contract/errors.ts';
import { nearest } from '#util/nearest.ts';
import { formatCount, formatFacts, formatRows, UNKNOWN } from '../../format.ts';
import type { ResultOf } from '../../remote/api-client.ts';
import { pick } from '../../remote/pick.ts';
import type { Remote, Shown } from '../../remote/remote-verb.ts';

type Topic = ResultOf<'getTopicDetails'>['items'][number];

export function topicLines(topics: readonly Topic[]): string[] {
  const rows = topics.map((topic) => [
    topic.name,
    formatCount(topic.partitions),
    formatCount(topic.replicationFactor),
    healthOf(topic),
  ]);
  return formatRows(['TOPIC', '#PARTITIONS', '#REPLICAS', 'STATE'], rows, 'topics');
}

function healthOf({ offline, underReplicated }: Topic): string {
  const problems = [
    ...(offline > 0 ? [`${offline} without leader`] : []),
    ...(underReplicated > 0 ? [`${underReplicated} under-replicated`] : []),
  ];
  return problems.join(', ') || 'ok';
}

/** The cluster that --cluster names, the only one, or one that somebody picks. */
export async function chosenOfServer(
  { api, io }: Pick<Remote, 'api' | 'io'>,
  named: string | undefined,
): Promise<string> {
  if (named !== undefined) return named;
  const known = (await api.all('listClusters', { query: { status: 'active' } })).map(({ name }) => name);
  const [only] = known;
  if (known.length === 1 && only !== undefined) return only;
  return pick(io, undefined, { what: 'cluster (--cluster)', names: async () => known });
}

export async function topicOfServer({ api, io }: Remote, cluster: string | undefined, topic: string): Promise<Shown> {
  const name = await chosenOfServer({ api, io }, cluster);
  const [found] = await api.all('getTopicDetails', { params: { name }, query: { topics: topic } });
  if (found === undefined) {
    const near = nearest(topic, await api.all('listClusterTopics', { params: { name } }));
    throw new AppError(
      'TOPIC_NOT_FOUND',
      `Cluster "${name}" has no topic "${topic}"${near === null ? '' : `; did you mean "${near}"?`}`,
      { nextStep: `"lockstep topics list --cluster ${name}" shows those that it has.` },
    );
  }
  const lines = formatFacts([
    ['topic', found.name],
    ['cluster', name],
    ['partitions', formatCount(found.partitions)],
    ['replicas', formatCount(found.replicationFactor)],
    ['state', healthOf(found)],
    ['compression', found.compression ?? UNKNOWN],
  ]);
  return { json: { cluster: name, topic: found }, lines };
}
