// The WGSL that few pages need: of thresholds that are learned, of large groups of query heads, of the shadow of K, of attention
// sinks, of a cache in pages, of devices without subgroups, and of steps that are inspected.
import combineSinksReadText from '../../../wgsl/combine/sinks-read.wgsl?raw';
import exactGatherText from '../../../wgsl/exact/gather.wgsl?raw';
import exactScoresText from '../../../wgsl/exact/scores.wgsl?raw';
import exactSoftmaxText from '../../../wgsl/exact/softmax.wgsl?raw';
import learnBinsText from '../../../wgsl/learn/bins.wgsl?raw';
import learnFitText from '../../../wgsl/learn/fit.wgsl?raw';
import learnText from '../../../wgsl/learn/learn.wgsl?raw';
import learnOutputsText from '../../../wgsl/learn/outputs.wgsl?raw';
import learnQuantileText from '../../../wgsl/learn/quantile.wgsl?raw';
import learnScoreCodesText from '../../../wgsl/learn/score-codes.wgsl?raw';
import learnScoresStoredText from '../../../wgsl/learn/scores-stored.wgsl?raw';
import learnSplitsSubgroupText from '../../../wgsl/learn/splits-subgroup.wgsl?raw';
import learnSplitsWorkgroupText from '../../../wgsl/learn/splits-workgroup.wgsl?raw';
import libHadamardText from '../../../wgsl/lib/hadamard.wgsl?raw';
import libKvPagedText from '../../../wgsl/lib/kv-paged.wgsl?raw';
import libReadsStoredText from '../../../wgsl/lib/reads-stored.wgsl?raw';
import portableGatherText from '../../../wgsl/portable/gather.wgsl?raw';
import portableScoresText from '../../../wgsl/portable/scores.wgsl?raw';
import portableSoftmaxText from '../../../wgsl/portable/softmax.wgsl?raw';
import shadowByteDotPackedText from '../../../wgsl/shadow/byte-dot-packed.wgsl?raw';
import shadowByteDotUnpackedText from '../../../wgsl/shadow/byte-dot-unpacked.wgsl?raw';
import shadowCodesX2Text from '../../../wgsl/shadow/codes-x2.wgsl?raw';
import shadowCodesX4Text from '../../../wgsl/shadow/codes-x4.wgsl?raw';
import shadowEncodeText from '../../../wgsl/shadow/encode.wgsl?raw';
import shadowLayoutText from '../../../wgsl/shadow/layout.wgsl?raw';
import shadowQueryText from '../../../wgsl/shadow/query.wgsl?raw';
import shadowReadText from '../../../wgsl/shadow/read.wgsl?raw';
import shadowScoresText from '../../../wgsl/shadow/scores.wgsl?raw';
import shadowText from '../../../wgsl/shadow/shadow.wgsl?raw';
import shadowStatisticsReadText from '../../../wgsl/shadow/statistics-read.wgsl?raw';

export const LATER_TEXTS: Readonly<Record<string, string>> = {
  'combine/sinks-read': combineSinksReadText,
  'exact/gather': exactGatherText,
  'exact/scores': exactScoresText,
  'exact/softmax': exactSoftmaxText,
  'learn/bins': learnBinsText,
  'learn/fit': learnFitText,
  'learn/learn': learnText,
  'learn/outputs': learnOutputsText,
  'learn/quantile': learnQuantileText,
  'learn/score-codes': learnScoreCodesText,
  'learn/scores-stored': learnScoresStoredText,
  'learn/splits-subgroup': learnSplitsSubgroupText,
  'learn/splits-workgroup': learnSplitsWorkgroupText,
  'lib/hadamard': libHadamardText,
  'lib/kv-paged': libKvPagedText,
  'lib/reads-stored': libReadsStoredText,
  'portable/gather': portableGatherText,
  'portable/scores': portableScoresText,
  'portable/softmax': portableSoftmaxText,
  'shadow/byte-dot-packed': shadowByteDotPackedText,
  'shadow/byte-dot-unpacked': shadowByteDotUnpackedText,
  'shadow/codes-x2': shadowCodesX2Text,
  'shadow/codes-x4': shadowCodesX4Text,
  'shadow/encode': shadowEncodeText,
  'shadow/layout': shadowLayoutText,
  'shadow/query': shadowQueryText,
  'shadow/read': shadowReadText,
  'shadow/scores': shadowScoresText,
  'shadow/shadow': shadowText,
  'shadow/statistics-read': shadowStatisticsReadText,
};
