/** docs/api-names.md: which field names of kaf-mirror the API accepts, and what it calls them. */
import { operationIds, routeOf } from './routes.ts';

export function apiNamesPage(): string {
  const rows = operationIds.flatMap((id) => {
    const { method, path, aliases } = routeOf(id);
    return Object.entries(aliases ?? {}).map(([from, to]) => `| \`${method} ${path}\` | \`${from}\` | \`${to}\` |`);
  });
  return [
    '# Field names of kaf-mirror that the API accepts',
    '',
    'Answers carry the names on the right. A request may carry either, not both. Made by `npm run gen` from the routes.',
    '',
    '| Route | Original | Here |',
    '|---|---|---|',
    ...rows,
    '',
    'Of a topic mapping, `source_topic_pattern` becomes `match` (an exact name where it holds nothing but letters, digits,',
    '"_", "." and "-", else an anchored regular expression), `target_topic_pattern` becomes `to`, and one with `enabled: false`',
    'is left out. `preserve_partitions: true` is accepted, for partitions are always kept. `batch_size`, `parallelism` and',
    '`compression` are refused by name: batches keep the size and compression that they have at the source, and partitions are',
    'copied side by side. Secrets are references (`{ store: NAME }`, `{ env: NAME }` or `{ file: path }`), so `api_key`,',
    '`api_secret` and `connection_string` have no place in a request.',
    '',
  ].join('\n');
}
