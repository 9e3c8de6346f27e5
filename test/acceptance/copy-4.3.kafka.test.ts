import { describeCopy } from './copy-suite.ts';

describeCopy({ source: '4.3.1', target: '4.3.1' });
