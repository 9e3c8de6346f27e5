/** Part of `npm run gen`: writes docs/acceptance.md from the lists in test/acceptance/lists.ts. */
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { formatAcceptance } from '../test/acceptance/acceptance-page.ts';
import { lists } from '../test/acceptance/lists.ts';

writeFileSync(join(dirname(dirname(fileURLToPath(import.meta.url))), 'docs', 'acceptance.md'), formatAcceptance(lists));
