-- Sends the CT of every study that is complete to adn, once; what could not be sent is tried again.
--
-- SendToModality() only logs a failure, so images would be lost while adn is down. A job of the REST API fails for all
-- to see, and is kept over a restart of Orthanc.

local NODE = 'adn'       -- its name in DicomModalities
local SENT = '5917'      -- metadata of a study: how many CT images were sent

local function retry_failed()
  for _, job in ipairs(ParseJson(RestApiGet('/jobs?expand', true))) do
    if job['State'] == 'Failure' and job['Type'] == 'DicomModalityStore' and job['Content']['RemoteAet'] == 'ADN' then
      RestApiPost('/jobs/' .. job['ID'] .. '/resubmit', '', true)
    end
  end
end

function OnStableStudy(studyId, tags, metadata)
  retry_failed()
  local series, images = {}, 0
  for _, one in ipairs(ParseJson(RestApiGet('/studies/' .. studyId .. '/series', true))) do
    if one['MainDicomTags']['Modality'] == 'CT' then
      table.insert(series, one['ID'])
      images = images + #one['Instances']
    end
  end
  local known = ParseJson(RestApiGet('/studies/' .. studyId .. '/metadata?expand', true))
  if images > 0 and known[SENT] ~= tostring(images) then  -- results that come back make a study stable once more
    RestApiPost('/modalities/' .. NODE .. '/store', DumpJson({ Resources = series, Synchronous = false }, true), true)
    RestApiPut('/studies/' .. studyId .. '/metadata/' .. SENT, tostring(images), true)
  end
end

function OnHeartBeat()  -- Orthanc 1.11.1 and newer, every LuaHeartBeatPeriod; older ones retry with the next study
  retry_failed()
end
