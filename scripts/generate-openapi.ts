/** Writes openapi.json and docs/api-names.md from the routes of the contract. */
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { apiNamesPage } from '#contract/api/api-names.ts';
import { openApiDocument } from '#contract/api/openapi.ts';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };

writeFileSync(join(root, 'openapi.json'), `${JSON.stringify(openApiDocument(version), null, 2)}\n`);
writeFileSync(join(root, 'docs/api-names.md'), apiNamesPage());
