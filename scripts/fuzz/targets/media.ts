import { createInspections } from '#server/rooms/media/inspection/inspections.ts'
import {
  flacOfBlocks,
  gifOfFrames,
  matroskaOfElements,
  mp3OfFrames,
  mp3OfSyncBytes,
  mp4OfBoxes,
  mp4OfDepth,
  oggOfPages,
  plainPng,
  pngOfTexts,
  svgOfEntities,
  tiffOfDirectories,
  wavOfChunks,
} from '#server/testing/hostile-media.ts'
import { mp4File, type SampleFile } from '#server/testing/media.ts'
import { defineTarget, type FuzzTarget } from '../target.ts'

/** An inspection is stopped after this time; only this process is measured. */
const CPU_MS = 500

type Generate = (sizeBytes: number) => SampleFile

const ATTACKS: readonly (readonly [string, Generate])[] = [
  ['frames of text in an MP3', size => mp3OfFrames(Math.floor(size / 12))],
  ['frames of no known type in an MP3', size => mp3OfFrames(Math.floor(size / 12), 'XXXX')],
  ['0xFF in an MP3', size => mp3OfSyncBytes(size)],
  ['times in an MP4', size => mp4File(Math.floor(size / 8))],
  ['boxes in each other in an MP4', size => mp4OfDepth(Math.floor(size / 8))],
  ['empty boxes in an MP4', size => mp4OfBoxes(Math.floor(size / 16))],
  ['empty elements in a Matroska file', size => matroskaOfElements(Math.floor(size / 7))],
  ['empty pages in an Ogg file', size => oggOfPages(Math.floor(size / 28))],
  ['empty blocks in a FLAC file', size => flacOfBlocks(Math.floor(size / 4))],
  ['empty chunks in a WAV file', size => wavOfChunks(Math.floor(size / 8))],
  ['a high PNG', size => plainPng(1, size * 100)],
  ['a wide PNG', size => plainPng(size * 400, 1)],
  ['texts in a PNG', size => pngOfTexts(Math.floor(size / 1_050))],
  ['frames in a GIF', size => gifOfFrames(Math.floor(size / 16))],
  ['entities in an SVG', size => svgOfEntities(Math.floor(size / 60))],
  ['directories in a TIFF', size => tiffOfDirectories(Math.floor(size / 18))],
]

/** Inspections of files that users upload. */
export function mediaTargets(): FuzzTarget[] {
  const inspections = createInspections({ limits: { cpuMs: CPU_MS } })
  return ATTACKS.map(([name, generate]) =>
    defineTarget({
      group: 'inspecting a file',
      name,
      generate,
      run: ({ bytes, mimeType, mediaType }) =>
        inspections.inspect(
          {
            sizeBytes: bytes.length,
            mimeType,
            mediaType,
            read: async (start, end) => bytes.subarray(start, end),
          },
          { userId: 'ada', onBegin: async () => {} },
        ),
    }),
  )
}
