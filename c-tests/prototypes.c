/*
 * Every function as libstmf-api.md writes it (chapters 3, 5, 6), and every function of the doors (c-clients.md chapter 6):
 * compilers refuse a declaration that differs from that of the header.
 */
#include <libstmf.h>
#include <door.h>

#ifdef __cplusplus
extern "C" {
#endif

void stmfFreeMemory(void *memory);
int stmfDevidFromIscsiName(char *iscsiName, stmfDevid *devid);
/* Written as an array of 8 there, which is the same. */
int stmfDevidFromWwn(uchar_t *wwn, stmfDevid *devid);

int stmfGetState(stmfState *state);
int stmfOnline(void);
int stmfOffline(void);
int stmfLoadConfig(void);
int stmfLoadStmfProps(void);
int stmfSetStmfProp(uint8_t propType, char *propVal);
int stmfGetStmfProp(uint8_t propType, char *propVal, size_t *propLen);
int stmfSetPersistMethod(uint8_t persistType, boolean_t serviceSet);
int stmfGetPersistMethod(uint8_t *persistType, boolean_t serviceState);

int stmfCreateHostGroup(stmfGroupName *hostGroupName);
int stmfCreateTargetGroup(stmfGroupName *targetGroupName);
int stmfDeleteHostGroup(stmfGroupName *hostGroupName);
int stmfDeleteTargetGroup(stmfGroupName *targetGroupName);
int stmfGetHostGroupList(stmfGroupList **list);
int stmfGetTargetGroupList(stmfGroupList **list);
int stmfGetHostGroupMembers(stmfGroupName *name, stmfGroupProperties **properties);
int stmfGetTargetGroupMembers(stmfGroupName *name, stmfGroupProperties **properties);
int stmfAddToHostGroup(stmfGroupName *name, stmfDevid *member);
int stmfAddToTargetGroup(stmfGroupName *name, stmfDevid *member);
int stmfRemoveFromHostGroup(stmfGroupName *name, stmfDevid *member);
int stmfRemoveFromTargetGroup(stmfGroupName *name, stmfDevid *member);

int stmfAddViewEntry(stmfGuid *lu, stmfViewEntry *viewEntry);
int stmfRemoveViewEntry(stmfGuid *lu, uint32_t viewEntryIndex);
int stmfGetViewEntryList(stmfGuid *lu, stmfViewEntryList **viewEntryList);
int stmfGetViewEntryListNotFound(stmfGuid *lu, stmfViewEntryList **viewEntryList);
int stmfValidateView(stmfViewEntry *viewEntry);

int stmfGetLogicalUnitList(stmfGuidList **luList);
int stmfGetLogicalUnitProperties(stmfGuid *lu, stmfLogicalUnitProperties *luProps);
int stmfOnlineLogicalUnit(stmfGuid *lu);
int stmfOfflineLogicalUnit(stmfGuid *lu);
int stmfGetTargetList(stmfDevidList **targetList);
int stmfGetTargetProperties(stmfDevid *target, stmfTargetProperties *targetProps);
int stmfGetSessionList(stmfDevid *target, stmfSessionList **sessionList);
int stmfOnlineTarget(stmfDevid *devid);
int stmfOfflineTarget(stmfDevid *devid);

int stmfCreateLuResource(uint16_t dType, luResource *hdl);
int stmfGetLuResource(stmfGuid *luGuid, luResource *hdl);
int stmfFreeLuResource(luResource hdl);
int stmfSetLuProp(luResource hdl, uint32_t propType, const char *propVal);
int stmfGetLuProp(luResource hdl, uint32_t propType, char *prop, size_t *propLen);
int stmfCreateLu(luResource hdl, stmfGuid *luGuid);
int stmfImportLu(uint16_t dType, char *fname, stmfGuid *luGuid);
int stmfDeleteLu(stmfGuid *luGuid);
int stmfModifyLu(stmfGuid *luGuid, uint32_t prop, const char *propVal);
int stmfModifyLuByFname(uint16_t dType, const char *fname, uint32_t prop, const char *propVal);
int stmfSetGlobalLuProp(uint16_t dType, uint32_t propType, const char *propVal);
int stmfGetGlobalLuProp(uint16_t dType, uint32_t prop, char *propVal, size_t *propLen);

int stmfGetLogicalUnitProviderList(stmfProviderList **list);
int stmfGetLocalPortProviderList(stmfProviderList **list);
int stmfGetLogicalUnitProviderProperties(stmfProviderName *name, stmfLogicalUnitProviderProperties *properties);
int stmfGetLocalPortProviderProperties(stmfProviderName *name, stmfLocalPortProviderProperties *properties);

int stmfGetProviderDataProt(char *providerName, nvlist_t **nvl, int providerType, uint64_t *setToken);
int stmfGetProviderData(char *providerName, nvlist_t **nvl, int providerType);
int stmfSetProviderDataProt(char *providerName, nvlist_t *nvl, int providerType, uint64_t *setToken);
int stmfSetProviderData(char *providerName, nvlist_t *nvl, int providerType);
int stmfClearProviderData(char *providerName, int providerType);
int stmfGetProviderDataList(stmfProviderList **providerList);

#ifdef LIBSTMF_ILLUMOS_COMPAT
int stmfSetAluaState(boolean_t enabled, uint32_t node);
int stmfGetAluaState(boolean_t *enabled, uint32_t *node);
#else
int stmfSetAluaState(boolean_t enabled, uint8_t node);
int stmfGetAluaState(boolean_t *enabled, uint8_t *node);
#endif
int stmfSetAluaState32(boolean_t enabled, uint32_t node);
int stmfGetAluaState32(boolean_t *enabled, uint32_t *node);
int stmfLuStandby(stmfGuid *luGuid);
int stmfInitProxyDoor(int *hdl, int fd);
void stmfDestroyProxyDoor(int hdl);
int stmfPostProxyMsg(int hdl, void *buf, uint32_t buflen);

int door_create(void (*procedure)(void *, char *, size_t, door_desc_t *, uint_t), void *cookie, uint_t attributes);
int door_revoke(int door);
int door_call(int door, door_arg_t *params);
int door_return(char *data, size_t size, door_desc_t *descriptors, uint_t count);
int door_info(int door, door_info_t *info);
int door_bind(int door);
int door_unbind(void);
int door_getparam(int door, int param, size_t *value);
int door_setparam(int door, int param, size_t value);
int fattach(int door, const char *path);
int fdetach(const char *path);

#ifdef __cplusplus
}
#endif
