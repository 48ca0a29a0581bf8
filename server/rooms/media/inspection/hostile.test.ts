import { afterAll, describe, expect, it } from 'vitest'
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
import { mp4File, type SampleFile, wavFile } from '#server/testing/media.ts'
import { createInspections } from './inspections.ts'

const CPU_MS = 1_000
/**
 * The CPU time that an inspection may cost this process, for reading the file and sending it to the child.
 */
const MAX_OWN_CPU_MS = 200

const inspections = createInspections({ limits: { cpuMs: CPU_MS } })
afterAll(() => inspections.close())

function inspect({ bytes, mimeType, mediaType }: SampleFile) {
  const read = async (start: number, end: number) => bytes.subarray(start, end)
  const file = { sizeBytes: bytes.length, mimeType, mediaType, read }
  return inspections.inspect(file, { userId: 'ada', onBegin: async () => {} })
}

describe('this process is not blocked by', () => {
  it.each([
    ['an MP3 of 400,000 frames of text', () => mp3OfFrames(400_000)],
    ['an MP3 of 400,000 frames of an unknown type', () => mp3OfFrames(400_000, 'XXXX')],
    ['an MP3 of 0xFF', () => mp3OfSyncBytes(1_600_000)],
    ['an MP4 with five million timestamps', () => mp4File(5_000_000)],
    ['an MP4 of 100,000 nested boxes', () => mp4OfDepth(100_000)],
    ['an MP4 of 200,000 empty boxes', () => mp4OfBoxes(200_000)],
    ['a Matroska file of a million empty elements', () => matroskaOfElements(1_000_000)],
    ['an Ogg file of 200,000 empty pages', () => oggOfPages(200_000)],
    ['a FLAC file of 500,000 empty blocks', () => flacOfBlocks(500_000)],
    ['a WAV file of 500,000 empty chunks', () => wavOfChunks(500_000)],
    ['a PNG that is 50,000,000 pixels tall', () => plainPng(1, 50_000_000)],
    ['a PNG with 400 texts of 1 MiB', () => pngOfTexts(400)],
    ['an SVG of 20,000 entities declared as PNG', () => svgOfEntities(20_000)],
    ['a TIFF of 50,000 directories declared as PNG', () => tiffOfDirectories(50_000)],
    ['a GIF of 20,000 large frames', () => gifOfFrames(20_000)],
  ])('%s', async (_name, makeFile) => {
    const file = makeFile()
    // Measures CPU time, because elapsed time grows on a busy machine.
    const before = process.threadCpuUsage()
    await inspect(file)
    const { user, system } = process.threadCpuUsage(before)
    const mebibytes = file.bytes.length / 1024 ** 2
    expect((user + system) / 1_000).toBeLessThan(MAX_OWN_CPU_MS + 20 * mebibytes)
  })
})

it('an endless inspection is stopped, and the next file is inspected', async () => {
  expect(await inspect(mp3OfFrames(400_000))).toEqual({
    width: null,
    height: null,
    durationSeconds: null,
    thumbnail: null,
  })
  expect(await inspect(wavFile(2))).toMatchObject({ durationSeconds: 2 })
})
