import { testedVersions } from '#testing/tested-versions.ts';
import { describeCopy } from './copy-suite.ts';

describeCopy(testedVersions() ?? { source: '4.3.1', target: '4.3.1' });
